/* Folders that are held by a lock: what a process that was killed has left is swept, what lives is not. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/random.h"
#include "lab/scratch.h"

static char base[64];

static void open_base(void)
{
    snprintf(base, sizeof base, "scratch-XXXXXX");
    if (!mkdtemp(base))
        TEST_FAIL("no folder");
}

static void touch(const char *folder, const char *name, bool old)
{
    char path[256];
    const struct timespec long_ago[2] = {{1000, 0}, {1000, 0}};

    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (fd >= 0)
        close(fd);
    if (old)
        utimensat(AT_FDCWD, path, long_ago, 0);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* A child that makes a folder, tells its name and waits to be killed. */
static pid_t holder(char ret_folder[128])
{
    int pipes[2];

    if (pipe(pipes) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        int lock_fd;
        memset(ret_folder, 0, 128);
        tspi_scratch_make(base, "lab-", ret_folder, 128, &lock_fd, NULL);
        ssize_t n = write(pipes[1], ret_folder, 128);
        while (n > 0)
            n = pause() < 0 ? n : 0;
        _exit(1);
    }
    close(pipes[1]);
    ssize_t n = read(pipes[0], ret_folder, 128);
    close(pipes[0]);
    return n == 128 ? pid : -1;
}

TEST(scratch, killed_holders_are_swept_and_living_ones_are_not)
{
    enum { N = 12 };
    char folders[N][128];
    pid_t pids[N];
    bool killed[N];
    unsigned want = 0;
    tspi_random random;

    open_base();
    tspi_random_seed(&random, seed);
    for (int k = 0; k < N; k++) {
        pids[k] = holder(folders[k]);
        REQUIRE(pids[k] > 0 && exists(folders[k]));
        touch(folders[k], "something", false);
        killed[k] = tspi_random_below(&random, 2);
    }
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), 0);
    for (int k = 0; k < N; k++)
        if (killed[k]) {
            kill(pids[k], SIGKILL);
            waitpid(pids[k], NULL, 0);
        }
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), 0); /* too young to be sure */
    for (int k = 0; k < N; k++) {
        touch(folders[k], "owner", true);
        want += killed[k];
    }
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), want);
    for (int k = 0; k < N; k++) {
        CHECK(exists(folders[k]) == !killed[k]);
        if (!killed[k]) {
            kill(pids[k], SIGKILL);
            waitpid(pids[k], NULL, 0);
        }
    }
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), N - want);
    CHECK_INT(rmdir(base), 0);
}

/* A copy of the lock in a child outlives the parent's. */
TEST(scratch, the_last_holder_counts)
{
    char folder[128];
    int lock_fd, ends[2];
    tsp_error err = {0};

    open_base();
    REQUIRE(pipe(ends) == 0);
    CHECK_STATUS(tspi_scratch_make(base, "lab-", folder, sizeof folder, &lock_fd, &err), TSP_OK, &err);
    touch(folder, "owner", true);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        ssize_t n = read(ends[0], &byte, 1);
        _exit((int)n);
    }
    close(lock_fd);
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), 0);
    close(ends[1]);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), 1);
    CHECK_INT(rmdir(base), 0);
}

/* Whatever else begins with the same letters is somebody else's. */
TEST(scratch, only_what_is_surely_ours_is_removed)
{
    static const char *const names[] = {"lab-abcdef", "lab-abcdefg", "lab-abcde", "lab-ABCDEF", "lab-linked"};
    char path[256];

    open_base();
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        snprintf(path, sizeof path, "%s/%s", base, names[k]);
        if (k == 4) {
            CHECK_INT(symlink("lab-abcdefg", path), 0);
            continue;
        }
        CHECK_INT(mkdir(path, k == 3 ? 0777 : 0700), 0);
        chmod(path, k == 3 ? 0777 : 0700); /* which tspi_scratch_make never makes */
        if (k)
            touch(path, "owner", true);
    }
    CHECK_INT(tspi_scratch_sweep(base, "lab-"), 0);
    CHECK_INT(tspi_scratch_sweep("no/such/place", "lab-"), 0);
    tspi_scratch_remove(base);
    CHECK(!exists(base));
    tspi_scratch_remove("");
}
