// embedded_exception NAME: what becomes of C++ exceptions in workers, jobs and
// the controller.  Prints "done" alone.
#include <dsm.h>

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

static const char *name;

static void
need(bool condition, const char *what)
{
    if (condition)
        return;
    std::fprintf(stderr, "not so: %s; %s\n", what, dsm_last_error());
    std::exit(1);
}

#define NEED(condition) need(condition, #condition)

// Its destructor must run once, in the controller.
struct witness {
    ~witness() { std::puts("done"); }
};

static void
throw_something()
{
    throw std::runtime_error("something");
}

static int
let_it_out(dsm_worker *self, const void *, size_t)
{
    if (dsm_worker_id(self) == 1)
        throw_something();
    return 0;
}

static int
let_it_out_of_a_job(dsm_worker *, const void *, size_t)
{
    throw_something();
    return 0;
}

static int
catch_it(dsm_worker *, const void *, size_t)
{
    try {
        throw_something();
    } catch (const std::exception &exception) {
        return std::strcmp(exception.what(), "something");
    }
    return 1;
}

static int
hand_it_on(dsm_worker *self, const void *, size_t)
{
    try {
        throw_something();
    } catch (const std::exception &exception) {
        dsm_worker_fail(self, 5, "caught %s", exception.what());
    }
    return 0;
}

static bool
says(const char *text)
{
    return std::strstr(dsm_last_error(), text) != nullptr;
}

struct cluster {
    dsm_cluster *handle = nullptr;

    explicit cluster(dsm_fn setup)
    {
        dsm_cluster_options options = DSM_CLUSTER_OPTIONS_INIT;

        options.name = name;
        options.setup = setup;
        if (dsm_cluster_create(&handle, 2, &options) < 0)
            throw std::runtime_error(dsm_last_error());
    }
    ~cluster() { dsm_cluster_destroy(handle); }
};

static void
in_workers()
{
    cluster c(catch_it);
    dsm_job *job;

    for (int k = 0; k < 2; k++) {
        NEED(dsm_cluster_run(c.handle, let_it_out, nullptr, 0) == DSM_EWORKER);
        NEED(says("worker 1 ") && says("died of SIGABRT"));
        NEED(dsm_cluster_run(c.handle, catch_it, nullptr, 0) == 0);
    }
    NEED(dsm_cluster_run(c.handle, hand_it_on, nullptr, 0) == DSM_EFAILED);
    NEED(says("caught something"));
    NEED(dsm_job_submit(&job, c.handle, let_it_out_of_a_job, nullptr, 0,
                        nullptr) == 0);
    NEED(dsm_job_result(job, nullptr, nullptr, 20000) == DSM_EWORKER);
    NEED(says("SIGABRT"));
    dsm_job_release(job);
    NEED(dsm_cluster_run(c.handle, catch_it, nullptr, 0) == 0);
}

// In setup, which is where the workers' stack is that of the controller's.
static void
in_setup()
{
    bool refused = false;

    try {
        cluster c(let_it_out_of_a_job);
    } catch (const std::runtime_error &) {
        refused = true;
    }
    NEED(refused);
}

static int
until_cancelled(dsm_worker *self, const void *, size_t)
{
    while (!dsm_worker_cancelled(self))
        ;
    return 0;
}

// The cluster ends as its frame is unwound, while a region runs.
static void
in_controller()
{
    bool caught = false;

    try {
        cluster c(nullptr);

        NEED(dsm_cluster_start(c.handle, until_cancelled, nullptr, 0) == 0);
        throw_something();
    } catch (const std::runtime_error &) {
        caught = true;
    }
    NEED(caught);
}

int
main(int argc, char **argv)
{
    struct rlimit none = {0, 0};
    witness once;

    if (argc != 2)
        return 2;
    name = argv[1];
    setrlimit(RLIMIT_CORE, &none);
    try {
        in_workers();
        in_setup();
        in_controller();
    } catch (...) {
        std::puts("escaped");
        return 1;
    }
    return 0;
}
