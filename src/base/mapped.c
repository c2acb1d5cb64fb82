#include "base/mapped.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The handler of a signal may call little and lock nothing, so the guarded stand in an array of fixed size. */
enum { GUARDED = 512 };
typedef struct {
    atomic_bool taken, cut;
    _Atomic uintptr_t begin, end; /* end 0: not in use */
} guarded;

static guarded rows[GUARDED];
static struct sigaction before;
static size_t page_bytes;

/* Pages of zeros in place of those that are no longer there, and the read is tried again. */
static void on_bus_error(int signal, siginfo_t *info, void *context)
{
    uintptr_t at = (uintptr_t)info->si_addr;

    for (size_t k = 0; k < GUARDED; k++) {
        uintptr_t begin = atomic_load(&rows[k].begin), end = atomic_load(&rows[k].end);
        if (at < begin || at >= end)
            continue;
        uintptr_t page = at & ~((uintptr_t)page_bytes - 1);
        atomic_store(&rows[k].cut, true);
        if (mmap((void *)page, end - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
            return;
    }
    sigaction(signal, &before, NULL); /* not ours: whoever was there before meets it when the read is tried again */
    (void)context;
}

void tspi_mapped_guard(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
}

static unsigned guard(const void *bytes, size_t len)
{
    for (unsigned k = 0; k < GUARDED; k++)
        if (!atomic_exchange(&rows[k].taken, true)) {
            atomic_store(&rows[k].cut, false);
            atomic_store(&rows[k].begin, (uintptr_t)bytes);
            atomic_store(&rows[k].end, (uintptr_t)bytes + len);
            return k + 1;
        }
    return 0;
}

bool tspi_mapped_open(tspi_mapped *ret, int fd, size_t len)
{
    void *at = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

    *ret = (tspi_mapped){0};
    if (at == MAP_FAILED)
        return false;
    madvise(at, len, MADV_SEQUENTIAL);
    *ret = (tspi_mapped){.bytes = at, .len = len, .guard = guard(at, len)};
    return true;
}

void tspi_mapped_close(tspi_mapped *mapped)
{
    if (mapped->guard) {
        guarded *row = &rows[mapped->guard - 1];
        atomic_store(&row->end, 0);
        atomic_store(&row->taken, false);
    }
    if (mapped->bytes)
        munmap((void *)(uintptr_t)mapped->bytes, mapped->len);
    *mapped = (tspi_mapped){0};
}

bool tspi_mapped_is_cut(const tspi_mapped *mapped)
{
    return mapped->guard && atomic_load(&rows[mapped->guard - 1].cut);
}

bool tspi_file_mark_of(int fd, tspi_file_mark *ret)
{
    struct stat st;

    *ret = (tspi_file_mark){0};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *ret = (tspi_file_mark){.device = st.st_dev,
                            .inode = st.st_ino,
                            .bytes = st.st_size,
                            .changed_s = st.st_mtim.tv_sec,
                            .changed_ns = st.st_mtim.tv_nsec};
    return true;
}

bool tspi_file_mark_is(const tspi_file_mark *mark, int fd)
{
    tspi_file_mark now;

    return tspi_file_mark_of(fd, &now) && now.device == mark->device && now.inode == mark->inode &&
           now.bytes == mark->bytes && now.changed_s == mark->changed_s && now.changed_ns == mark->changed_ns;
}
