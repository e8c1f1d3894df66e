/* Views: rows of an array that share its data and end with it. */
#include "support.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int
touch_a(dsm_worker *self, const void *arg, size_t arg_size)
{
    (void)self, (void)arg_size;
    return *(const volatile char *)arg;
}

START_TEST(a_view_is_rows_of_its_array)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *view, *inner;
    int32_t *items;

    ck_dsm(
        dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(6, 2, 5)));
    items = dsm_array_data(array);
    ck_dsm(dsm_array_view(&view, array, 1, 5));
    ck_assert_ptr_eq(dsm_array_data(view), items + 10);
    ck_assert_uint_eq(dsm_array_type(view), DSM_INT32);
    ck_assert_uint_eq(dsm_array_item_size(view), 4);
    ck_assert_uint_eq(dsm_array_ndim(view), 3);
    ck_assert_mem_eq(dsm_array_shape(view), ((size_t[]){4, 2, 5}),
                     3 * sizeof(size_t));
    ck_assert_uint_eq(dsm_array_count(view), 40);
    ck_assert_str_eq(dsm_array_name(view), "A");
    ck_assert_ptr_eq(dsm_array_lock(view), dsm_array_lock(array));
    ck_dsm(dsm_array_view(&inner, view, 2, 4));
    ck_assert_ptr_eq(dsm_array_data(inner), items + 30);
    ck_assert_uint_eq(dsm_array_count(inner), 20);
    ck_assert_str_eq(dsm_array_name(inner), "A");
    ck_assert_ptr_eq(dsm_array_lock(inner), dsm_array_lock(array));
    /* A view of a view is one of the array, and outlives the first. */
    ck_dsm(dsm_array_destroy(view));
    ck_assert_ptr_eq(dsm_array_data(inner), items + 30);
    ck_assert_str_eq(dsm_array_name(inner), "A");
    ck_dsm(dsm_array_destroy(inner));
    ck_dsm_error(dsm_array_destroy(inner), -ENOENT, "destroyed already");
    items[59] = 7;
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(views_may_be_empty)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *empty, *view;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(6, 2)));
    ck_dsm(dsm_array_create(&empty, cluster, "E", DSM_INT32, DSM_SHAPE(0, 2)));
    ck_dsm(dsm_array_view(&view, array, 6, 6));
    ck_assert_uint_eq(dsm_array_count(view), 0);
    ck_assert_uint_eq(dsm_array_shape(view)[0], 0);
    ck_assert_uint_eq(dsm_array_shape(view)[1], 2);
    ck_dsm(dsm_array_view(&view, empty, 0, 0));
    ck_assert_uint_eq(dsm_array_count(view), 0);
    ck_assert_ptr_eq(dsm_array_data(view), dsm_array_data(empty));
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(bad_views_are_refused)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *scalar, *view;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(6, 2)));
    ck_dsm(dsm_array_create(&scalar, cluster, "S", DSM_INT32, 0, NULL));
    view = array;
    ck_dsm_error(dsm_array_view(&view, array, 2, 7), -EINVAL,
                 "rows 2 to 7 are not within the 6 of array 'A'");
    ck_assert_ptr_null(view);
    ck_dsm_error(dsm_array_view(&view, array, 4, 3), -EINVAL, "rows 4 to 3");
    ck_dsm_error(dsm_array_view(&view, array, SIZE_MAX, SIZE_MAX), -EINVAL,
                 "not within the 6");
    ck_dsm_error(dsm_array_view(&view, scalar, 0, 0), -EINVAL,
                 "array 'S' is a scalar");
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(views_end_with_their_array)
{
    dsm_cluster *cluster = test_cluster(1);
    dsm_array *array, *view, *of_another;

    ck_dsm(dsm_array_create(&array, cluster, "B", DSM_INT8, DSM_SHAPE(6)));
    ck_dsm(dsm_array_view(&of_another, array, 0, 3));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(6)));
    ck_dsm(dsm_array_view(&view, array, 0, 3));
    ck_dsm(dsm_array_destroy(array));
    ck_dsm_error(dsm_array_destroy(view), -ENOENT, "destroyed already");
    ck_assert_str_eq(dsm_array_name(of_another), "B");
    ck_dsm(dsm_array_destroy(of_another));
    dsm_cluster_destroy(cluster);
}
END_TEST

static int
use_views(dsm_worker *self, const void *arg, size_t arg_size)
{
    dsm_array *array = dsm_worker_array(self, "A"), *view;
    dsm_range mine = dsm_worker_range(self, dsm_array_shape(array)[0]);

    (void)arg, (void)arg_size;
    for (int k = 0; k < 200; k++) {
        if (dsm_array_view(&view, array, mine.begin, mine.end) < 0)
            return 1;
        if (dsm_array_count(view) != mine.end - mine.begin)
            return 2;
        ((int *)dsm_array_data(view))[0]++;
        if (dsm_array_destroy(view) < 0)
            return 3;
    }
    return 0;
}

START_TEST(workers_make_views_within_a_region)
{
    dsm_cluster *cluster = test_cluster(3);
    dsm_array *array;
    int *items;

    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT32, DSM_SHAPE(3)));
    items = dsm_array_data(array);
    ck_dsm(dsm_cluster_run(cluster, use_views, NULL, 0));
    ck_assert_int_eq(items[0], 200);
    ck_assert_int_eq(items[1], 200);
    ck_assert_int_eq(items[2], 200);
    dsm_cluster_destroy(cluster);
}
END_TEST

START_TEST(the_table_of_objects_has_an_end)
{
    dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;
    dsm_array *array, *view, *last = NULL;
    unsigned views = 0, more;
    dsm_cluster *cluster;
    int error;

    options.name = test_name();
    options.address_space = (size_t)64 << 20; /* a small control segment */
    ck_dsm(dsm_cluster_create(&cluster, 1, &options));
    ck_dsm(dsm_array_create(&array, cluster, "A", DSM_INT8, DSM_SHAPE(1)));
    while ((error = dsm_array_view(&view, array, 0, 1)) == 0) {
        last = view;
        views++;
    }
    ck_assert_uint_ge(views, 1000);
    ck_assert_int_eq(error, -ENOSPC);
    ck_assert(sscanf(strstr(dsm_last_error(), "has its"), "has its %u objects",
                     &more) == 1);
    ck_assert_uint_eq(more, views + 1);
    ck_dsm(dsm_array_destroy(last));
    ck_dsm(dsm_array_view(&view, array, 0, 1));
    ck_dsm(dsm_cluster_run(cluster, touch_a, dsm_array_data(view), 0));
    dsm_cluster_destroy(cluster);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("array_view");
    TCase *views = test_case(suite, "view");

    tcase_add_test(views, a_view_is_rows_of_its_array);
    tcase_add_test(views, views_may_be_empty);
    tcase_add_test(views, bad_views_are_refused);
    tcase_add_test(views, views_end_with_their_array);
    tcase_add_test(views, workers_make_views_within_a_region);
    tcase_add_test(views, the_table_of_objects_has_an_end);
    return test_main(suite);
}
