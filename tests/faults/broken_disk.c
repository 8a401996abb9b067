/* Makes chosen calls on chosen files fail, while a switch file is there. Loaded by LD_PRELOAD; see disk.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_there(const char *path) { return access(path, F_OK); }

/* Whether this call on this file fails now. */
static int is_broken(const char *call, int fd) {
    const char *calls = getenv("BROKEN_CALLS"), *ends = getenv("BROKEN_PATH_ENDS"), *on = getenv("BROKEN_SWITCH");
    char link[64], path[4096], word[64];
    if (!calls || !ends || !on) return 0;
    snprintf(word, sizeof word, ",%s,", call);
    if (!strstr(calls, word)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    size_t tail = strlen(ends);
    if ((size_t)length < tail || strcmp(path + length - tail, ends) != 0) return 0;
    return is_there(on) == 0;
}

static int error_number(void) { return atoi(getenv("BROKEN_ERRNO")); }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* With an error number the call fails; without one it writes half of what it was asked to. */
#define WRITES(name, call, parameters, arguments_of)                                     \
    ssize_t name parameters {                                                            \
        if (is_broken(call, fd)) {                                                       \
            if (error_number()) { errno = error_number(); return -1; }                   \
            if (count > 1) count /= 2;                                                   \
        }                                                                                \
        return REAL(name) arguments_of;                                                  \
    }

WRITES(write, "write", (int fd, const void *data, size_t count), (fd, data, count))
WRITES(pwrite, "pwrite", (int fd, const void *data, size_t count, off_t at), (fd, data, count, at))
WRITES(pwrite64, "pwrite", (int fd, const void *data, size_t count, off64_t at), (fd, data, count, at))

#define FAILS(type, name, call, parameters, arguments_of)                                \
    type name parameters {                                                               \
        if (is_broken(call, fd)) { errno = error_number(); return -1; }                  \
        return REAL(name) arguments_of;                                                  \
    }

FAILS(ssize_t, pread, "pread", (int fd, void *data, size_t count, off_t at), (fd, data, count, at))
FAILS(ssize_t, pread64, "pread", (int fd, void *data, size_t count, off64_t at), (fd, data, count, at))
FAILS(int, fsync, "sync", (int fd), (fd))
FAILS(int, fdatasync, "sync", (int fd), (fd))
FAILS(int, ftruncate, "truncate", (int fd, off_t length), (fd, length))
FAILS(int, ftruncate64, "truncate", (int fd, off64_t length), (fd, length))
