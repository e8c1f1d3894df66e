/* Kernels of compaction and of copies past the caches: what is packed, and that
 * nothing else is written. */
#include "kernels.h"

/* From none to all; the bytes that are not 0 are anything. */
static void
make_marks(uint8_t *keep, size_t n, int density)
{
    for (size_t i = 0; i < n; i++)
        keep[i] = (uint8_t)((rand() % 100 < density) << rand() % 8);
}

static const int densities[] = {0, 3, 50, 97, 100};

START_TEST(marks)
{
    for (size_t k = 0; k < LENGTHS; k++)
        for (size_t offset = 0; offset < 64; offset += 7)
            for (int d = 0; d < 5; d++) {
                size_t n = lengths[k], words = (n + 63) / 64, count = 0;
                struct island keep = island(n, offset);
                struct island bits = island(words * 8, 8);
                bool right = true;

                make_marks((uint8_t *)keep.bytes, n, densities[d]);
                for (size_t i = 0; i < n; i++)
                    count += keep.bytes[i] != 0;
                ck_assert_uint_eq(set(_i)->mark((uint64_t *)bits.bytes,
                                                (uint8_t *)keep.bytes, n),
                                  count);
                for (size_t i = 0; i < words * 64; i++)
                    right &= (((uint64_t *)bits.bytes)[i / 64] >> i % 64 & 1) ==
                             (i < n && keep.bytes[i]);
                ck_assert(right);
                ck_assert(kept(&bits, words * 8));
                drop(&keep);
                drop(&bits);
            }
}
END_TEST

static void
ck_pack(int s, unsigned power, size_t n, int density, size_t offset)
{
    size_t size = (size_t)1 << power, count = 0;
    struct island in = island(n * size, offset * size);
    struct island out = island(n * size + 64, (offset * 3 % 16) * size);
    char *wanted = malloc(n * size + 1);
    uint64_t bits[ITEMS / 64 + 1] = {0};

    random_bytes(in.bytes, n * size);
    for (size_t i = 0; i < n; i++)
        if (rand() % 100 < density) {
            bits[i / 64] |= UINT64_C(1) << i % 64;
            memcpy(wanted + count++ * size, in.bytes + i * size, size);
        }
    ck_assert_uint_eq(set(s)->packs[power](out.bytes, in.bytes, bits, n),
                      count);
    ck_assert_msg(memcmp(out.bytes, wanted, count * size) == 0,
                  "%s: %zu of %zu items of %zu bytes", set(s)->name, count, n,
                  size);
    /* And up to 64 bytes behind the last. */
    ck_assert(kept(&out, count * size + 64));
    free(wanted);
    drop(&in);
    drop(&out);
}

START_TEST(packs)
{
    for (unsigned power = 0; power < 5; power++)
        for (size_t k = 0; k < LENGTHS; k++)
            for (int d = 0; d < 5; d++)
                for (size_t offset = 0; offset < 4; offset++)
                    ck_pack(_i, power, lengths[k], densities[d], offset);
}
END_TEST

START_TEST(streams)
{
    for (size_t lines = 0; lines < 9; lines++)
        for (size_t offset = 0; offset < 64; offset++) {
            struct island from = island(lines * 64, offset);
            struct island to = island(lines * 64, 0);

            to.bytes += 64 - (uintptr_t)to.bytes % 64;
            random_bytes(from.bytes, lines * 64);
            set(_i)->stream(to.bytes, from.bytes, lines);
            dsm__stream_end();
            ck_assert_mem_eq(to.bytes, from.bytes, lines * 64);
            ck_assert(kept(&to, lines * 64));
            drop(&from);
            drop(&to);
        }
}
END_TEST

int
main(void)
{
    const TTest *const tests[] = {marks, packs, streams};

    return kernel_main("kernel, pack", tests, sizeof tests / sizeof *tests);
}
