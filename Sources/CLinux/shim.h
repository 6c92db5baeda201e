// What Swift's Glibc module leaves out: epoll, and the affinity calls that glibc hides behind _GNU_SOURCE.
#pragma once
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Both return the number of bytes of the mask, or -1 with errno. `thread` 0 is the caller.
static inline long heliograph_get_affinity(int thread, unsigned long *mask, unsigned long bytes) {
    return syscall(SYS_sched_getaffinity, thread, bytes, mask);
}

static inline long heliograph_set_affinity(int thread, const unsigned long *mask, unsigned long bytes) {
    return syscall(SYS_sched_setaffinity, thread, bytes, mask);
}
