#include "lab/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The file within a folder that carries its lock. */
static const char lock_name[] = "owner";
/* A folder this young may be about to be locked. */
enum { YOUNG_S = 10 };

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found, (void)kind, (void)place;
    remove(path);
    return 0;
}

void tspi_scratch_remove(const char *folder)
{
    if (*folder)
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

tsp_status tspi_scratch_make(const char *base, const char *prefix, char *ret_folder, size_t size, int *ret_lock_fd,
                             tsp_error *err)
{
    char path[4400];

    *ret_lock_fd = -1;
    if ((size_t)snprintf(ret_folder, size, "%s/%sXXXXXX", base, prefix) >= size) {
        ret_folder[0] = '\0';
        return tsp_error_set(err, TSP_EINVAL, "'%s' is too long a path", base);
    }
    if (!mkdtemp(ret_folder)) {
        ret_folder[0] = '\0'; /* nothing was made: nothing is to be removed */
        return tsp_error_sys(err, errno, "cannot make a folder in '%s'", base);
    }
    snprintf(path, sizeof path, "%s/%s", ret_folder, lock_name);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) {
        tsp_status rc = tsp_error_sys(err, errno, "cannot lock '%s'", path);
        if (fd >= 0)
            close(fd);
        tspi_scratch_remove(ret_folder);
        ret_folder[0] = '\0';
        return rc;
    }
    *ret_lock_fd = fd;
    return TSP_OK;
}

/* Ours, of the form that tspi_scratch_make gives, no longer young, and its lock is free. */
static bool is_left_over(const char *folder)
{
    char path[4400];
    struct stat info, lock;

    snprintf(path, sizeof path, "%s/%s", folder, lock_name);
    if (lstat(folder, &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077) ||
        lstat(path, &lock) != 0 || !S_ISREG(lock.st_mode) || lock.st_uid != geteuid() ||
        time(NULL) - lock.st_mtime < YOUNG_S)
        return false;
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    bool free_now = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fd >= 0)
        close(fd);
    return free_now;
}

unsigned tspi_scratch_sweep(const char *base, const char *prefix)
{
    size_t len = strlen(prefix);
    char path[4200];
    unsigned n = 0;
    DIR *all = opendir(base);

    for (struct dirent *entry; all && (entry = readdir(all));) {
        if (strncmp(entry->d_name, prefix, len) != 0 || strlen(entry->d_name) != len + 6)
            continue;
        if ((size_t)snprintf(path, sizeof path, "%s/%s", base, entry->d_name) >= sizeof path || !is_left_over(path))
            continue;
        tspi_scratch_remove(path);
        n++;
    }
    if (all)
        closedir(all);
    return n;
}
