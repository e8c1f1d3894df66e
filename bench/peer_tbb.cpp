// TBB and the parallel algorithms of the C++ library, which run on it, as peers.
extern "C" {
#include "job_peers.h"
#include "kernels.h"
#include "peer.h"
#include "peer_arrays.h"
}

#include <algorithm>
#include <array>
#include <execution>
#include <functional>
#include <future>
#include <numeric>
#include <string_view>
#include <vector>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>
#include <tbb/parallel_scan.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

namespace
{

using range = tbb::blocked_range<size_t>;

// Items of a piece, as large as one that a user would choose for arrays.
constexpr size_t grain = 16384;

volatile double sink;

int
tbb_sum(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    sink = tbb::parallel_reduce(
        range(0, a->n, grain), 0.0,
        [a](const range &r, double sum) {
            return sum + kernel_sum(a->x + r.begin(), r.size());
        },
        std::plus<>());
    return 0;
}

int
tbb_dot(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    sink = tbb::parallel_reduce(
        range(0, a->n, grain), 0.0,
        [a](const range &r, double sum) {
            return sum +
                   kernel_dot(a->x + r.begin(), a->y + r.begin(), r.size());
        },
        std::plus<>());
    return 0;
}

int
tbb_scan(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    sink = tbb::parallel_scan(
        range(0, a->n, grain), 0.0,
        [a](const range &r, double prefix, bool is_final) {
            return is_final ? kernel_scan(a->y + r.begin(), a->x + r.begin(),
                                          r.size(), prefix)
                            : prefix + kernel_sum(a->x + r.begin(), r.size());
        },
        std::plus<>());
    return 0;
}

int
tbb_map(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    tbb::parallel_for(range(0, a->n, grain), [a](const range &r) {
        kernel_map(a->y + r.begin(), a->x + r.begin(), r.size());
    });
    return 0;
}

int
tbb_empty_1(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    tbb::parallel_for(
        range(0, a->n, 1), [](const range &) { kernel_empty_item(); },
        tbb::simple_partitioner());
    return 0;
}

int
tbb_empty_auto(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    tbb::parallel_for(size_t{0}, a->n, [](size_t) { kernel_empty_item(); });
    return 0;
}

int
tbb_irregular(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    tbb::parallel_for(size_t{0}, a->n, kernel_irregular_item);
    return 0;
}

int
tbb_tasks(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    tbb::task_group group;
    for (size_t i = 0; i < a->n; i++)
        group.run(kernel_empty_item);
    group.wait();
    return 0;
}

int
tbb_echo(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    static std::vector<line> in(a->n), out(a->n);
    tbb::parallel_for(size_t{0}, a->n, [](size_t i) { out[i] = in[i]; });
    for (const line &result : out)
        sink = result.bytes[0];
    return 0;
}

int
tbb_histograms(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    using bins = std::array<uint32_t, KERNEL_BINS>;
    static std::vector<bins> results(a->n);
    bins total{};
    std::fill(results.begin(), results.end(), total);
    tbb::task_group group;
    for (size_t i = 0; i < a->n; i++)
        group.run([i] { kernel_histogram(results[i].data(), i); });
    group.wait();
    for (const bins &result : results)
        kernel_add_bins(total.data(), result.data());
    sink = total[0];
    return 0;
}

// Runs in another thread; a task_group's wait would run it itself.
int
tbb_enqueue(void *)
{
    static tbb::task_arena arena(1, 0);
    std::promise<void> done;
    arena.enqueue([&done] { done.set_value(); });
    done.get_future().wait();
    return 0;
}

int
std_sum(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    sink = std::reduce(std::execution::par_unseq, a->x, a->x + a->n, 0.0);
    return 0;
}

int
std_dot(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    sink = std::transform_reduce(std::execution::par_unseq, a->x, a->x + a->n,
                                 a->y, 0.0);
    return 0;
}

int
std_scan(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    std::inclusive_scan(std::execution::par, a->x, a->x + a->n, a->y);
    return 0;
}

int
std_filter(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    std::copy_if(std::execution::par, a->x, a->x + a->n, a->y,
                 [](double x) { return kernel_keeps(x) != 0; });
    return 0;
}

int
std_map(void *context)
{
    const auto *a = static_cast<const peer_arrays *>(context);
    std::transform(std::execution::par_unseq, a->x, a->x + a->n, a->y,
                   kernel_map_item);
    return 0;
}

const struct {
    std::string_view name;
    int (*once)(void *arrays);
    int which; // of the arrays; -1: none
    bool idle = false; // measured singly, after an idle time
} peers[] = {
    {"tbb-sum", tbb_sum, 0},
    {"tbb-dot", tbb_dot, PEER_Y},
    {"tbb-scan", tbb_scan, PEER_Y},
    {"tbb-map", tbb_map, PEER_Y},
    {"tbb-empty-1", tbb_empty_1, -1},
    {"tbb-empty-auto", tbb_empty_auto, -1},
    {"tbb-irregular", tbb_irregular, -1},
    {"tbb-tasks", tbb_tasks, -1},
    {"tbb-echo", tbb_echo, -1},
    {"tbb-histograms", tbb_histograms, -1},
    {"tbb-enqueue", tbb_enqueue, -1},
    {"tbb-enqueue-idle", tbb_enqueue, -1, true},
    {"std-sum", std_sum, 0},
    {"std-dot", std_dot, PEER_Y},
    {"std-scan", std_scan, PEER_Y},
    {"std-filter", std_filter, PEER_Y},
    {"std-map", std_map, PEER_Y},
};

int
measure(const peer_work *work, double *ns)
{
    for (const auto &peer : peers) {
        if (peer.name != work->name)
            continue;
        tbb::global_control limit(
            tbb::global_control::max_allowed_parallelism, work->parties);
        peer_arrays arrays{};
        arrays.n = work->size;
        if (peer.which >= 0 &&
            peer_arrays_make(&arrays, work->size, work->parties,
                             static_cast<unsigned>(peer.which)) != 0)
            return -1;
        return peer.idle ? measure_singly(peer.once, &arrays, work->count,
                                          IDLE_MS, ns)
                         : measure_loop(peer.once, &arrays, work->count, ns);
    }
    return SAMPLE_NOT_AVAILABLE;
}

} // namespace

int
main(int argc, char **argv)
{
    return peer_main(argc, argv, measure);
}
