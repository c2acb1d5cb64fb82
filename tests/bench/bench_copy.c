/* What a machine needs to copy a file, which nothing that writes one can undercut: bench_copy [MEGABYTES [FOLDER]].
 * Each way of reading, of writing and of copying by itself, in CPU seconds (user and system) and as a share of memcpy
 * in memory that is mapped already. FOLDER: best one in memory (tmpfs). */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char in[4096], out[4096];
static size_t bytes;
static char *buffer; /* of the largest io size, touched */
enum { MOST_IO = 8 << 20 };

/* Of this process and of those it waited for. */
static double cpu_s(void)
{
    double sum = 0;

    for (int k = 0; k < 2; k++) {
        struct rusage u;
        getrusage(k ? RUSAGE_CHILDREN : RUSAGE_SELF, &u);
        sum +=
            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    }
    return sum;
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static int open_in(void)
{
    int fd = open(in, O_RDONLY);

    if (fd < 0)
        die(in);
    return fd;
}

static int open_out(void)
{
    int fd = open(out, O_RDWR | O_CREAT | O_TRUNC, 0666);

    if (fd < 0)
        die(out);
    return fd;
}

static void *map_in(int flags)
{
    int fd = open_in();
    void *at = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | flags, fd, 0);

    if (at == MAP_FAILED)
        die("mmap");
    close(fd);
    return at;
}

/* A way of doing it, with its io size (0 = none). false: this system has no such way. */
typedef bool (*way)(size_t io);

static bool touch_map(size_t advice)
{
    volatile const char *at = map_in(0);
    unsigned sum = 0;

    if (advice && madvise((void *)(uintptr_t)at, bytes, (int)advice) != 0) {
        munmap((void *)(uintptr_t)at, bytes);
        return false;
    }
    for (size_t k = 0; k < bytes; k += 4096)
        sum += (unsigned)at[k];
    munmap((void *)(uintptr_t)at, bytes);
    return sum != 1;
}

static bool populate_map(size_t io)
{
    (void)io;
    munmap(map_in(MAP_POPULATE), bytes);
    return true;
}

static bool read_in(size_t io)
{
    int fd = open_in();

    while (read(fd, buffer, io) > 0)
        ;
    close(fd);
    return true;
}

static bool write_out(size_t io)
{
    int fd = open_out();

    for (size_t done = 0; done < bytes; done += io)
        if (write(fd, buffer, bytes - done < io ? bytes - done : io) <= 0)
            die("write");
    close(fd);
    return true;
}

static bool write_map(size_t io)
{
    const char *at = map_in(0);
    int fd = open_out();

    for (size_t done = 0; done < bytes; done += io)
        if (write(fd, at + done, bytes - done < io ? bytes - done : io) <= 0)
            die("write");
    close(fd);
    munmap((void *)(uintptr_t)at, bytes);
    return true;
}

static bool read_write(size_t io)
{
    int from = open_in(), to = open_out();

    for (ssize_t n; (n = read(from, buffer, io)) > 0;)
        if (write(to, buffer, (size_t)n) != n)
            die("write");
    close(from);
    close(to);
    return true;
}

static bool copy_range(size_t io)
{
    int from = open_in(), to = open_out();
    ssize_t n;

    while ((n = copy_file_range(from, NULL, to, NULL, io, 0)) > 0)
        ;
    close(from);
    close(to);
    return n == 0;
}

static bool send_file(size_t io)
{
    int from = open_in(), to = open_out();
    ssize_t n;

    while ((n = sendfile(to, from, NULL, io)) > 0)
        ;
    close(from);
    close(to);
    return n == 0;
}

static bool clone(size_t io)
{
    int from = open_in(), to = open_out();
    bool done = ioctl(to, FICLONE, from) == 0;

    (void)io;
    close(from);
    close(to);
    return done;
}

/* The new file mapped, and written by memcpy from a small buffer. */
static bool map_out(size_t io)
{
    int fd = open_out();

    if (ftruncate(fd, (off_t)bytes) != 0)
        die("ftruncate");
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        die("mmap");
    for (size_t done = 0; done < bytes; done += io)
        memcpy(at + done, buffer, bytes - done < io ? bytes - done : io);
    munmap(at, bytes);
    close(fd);
    return true;
}

static bool program(const char *const *argv)
{
    int status = 0;
    pid_t child = fork();

    if (!child) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool cp(size_t io)
{
    (void)io;
    return program((const char *const[]){"cp", "--reflink=auto", in, out, NULL});
}

static double memcpy_s;

/* The best of three: what others do on the machine only adds. */
static void measure(const char *name, way run, size_t io)
{
    double best = 1e9;

    for (int round = 0; round < 3; round++) {
        unlink(out);
        double start = cpu_s();
        if (!run(io)) {
            printf("| %-44s | %6s | %6s | %5s |\n", name, "-", "-", "-");
            return;
        }
        double took = cpu_s() - start;
        best = took < best ? took : best;
    }
    printf("| %-44s | %6.3f | %6.2f | %5.2f |\n", name, best, (double)bytes / best / 1e9, memcpy_s / best);
    fflush(stdout);
}

/* Both sides mapped and touched; in pages of 4 kB or of 2 MB. */
static void measure_memcpy(const char *name, size_t n, bool huge)
{
    double best = 1e9;
    char *from = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *to = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (from == MAP_FAILED || to == MAP_FAILED)
        die("mmap");
    madvise(from, n, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    madvise(to, n, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    memset(from, 1, n);
    memset(to, 2, n);
    for (int round = 0; round < 3; round++) {
        double start = cpu_s();
        for (size_t done = 0; done < bytes; done += n)
            memcpy(to, from, bytes - done < n ? bytes - done : n);
        double took = cpu_s() - start;
        best = took < best ? took : best;
        from[round] = to[round + 1];
    }
    munmap(from, n);
    munmap(to, n);
    memcpy_s = memcpy_s && memcpy_s < best ? memcpy_s : best;
    printf("| %-44s | %6.3f | %6.2f | %5.2f |\n", name, best, (double)bytes / best / 1e9, memcpy_s / best);
}

static void make_in(void)
{
    int fd = open(in, O_WRONLY | O_CREAT | O_TRUNC, 0666);

    buffer = malloc(MOST_IO);
    if (fd < 0 || !buffer)
        die(in);
    for (size_t k = 0; k < MOST_IO; k++)
        buffer[k] = (char)(k * 2654435761u >> 13);
    for (size_t done = 0; done < bytes; done += MOST_IO)
        if (write(fd, buffer, bytes - done < MOST_IO ? bytes - done : MOST_IO) <= 0)
            die("write");
    close(fd);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 2 ? argv[2] : P_tmpdir;

    bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 256) << 20;
    snprintf(in, sizeof in, "%s/bench-copy-in", folder);
    snprintf(out, sizeof out, "%s/bench-copy-out", folder);
    make_in();
    printf("%.2f GB\n\n| way | CPU s | GB/s | of memcpy |\n|---|---|---|---|\n", (double)bytes / 1e9);
    measure_memcpy("memcpy of 64 MB again and again, huge pages", 64 << 20, true);
    measure_memcpy("memcpy, all mapped, huge pages", bytes, true);
    measure_memcpy("memcpy, all mapped, 4 kB pages", bytes, false);
    measure("input: mmap, touch each page", touch_map, 0);
    measure("input: mmap, MADV_POPULATE_READ, touch", touch_map, MADV_POPULATE_READ);
    measure("input: mmap, MADV_HUGEPAGE, touch", touch_map, MADV_HUGEPAGE);
    measure("input: mmap with MAP_POPULATE", populate_map, 0);
    measure("input: read, 128 kB at a time", read_in, 128 << 10);
    measure("input: read, 256 kB", read_in, 256 << 10);
    measure("input: read, 1 MB", read_in, 1 << 20);
    measure("input: read, 4 MB", read_in, 4 << 20);
    measure("output: write, 128 kB at a time", write_out, 128 << 10);
    measure("output: write, 256 kB", write_out, 256 << 10);
    measure("output: write, 1 MB", write_out, 1 << 20);
    measure("output: write, 8 MB", write_out, 8 << 20);
    measure("output: mmap, memcpy", map_out, 256 << 10);
    measure("copy: cp", cp, 0);
    measure("copy: copy_file_range", copy_range, 1 << 30);
    measure("copy: sendfile", send_file, 1 << 30);
    measure("copy: read and write, 128 kB", read_write, 128 << 10);
    measure("copy: read and write, 256 kB", read_write, 256 << 10);
    measure("copy: read and write, 1 MB", read_write, 1 << 20);
    measure("copy: write from the mapped input, 1 MB", write_map, 1 << 20);
    measure("copy: FICLONE", clone, 0);
    unlink(in);
    unlink(out);
    return 0;
}
