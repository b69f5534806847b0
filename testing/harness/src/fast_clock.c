/* A faster clock for one process, preloaded: the times that it reads run FAST_CLOCK_TIMES as fast, and its waits in
 * epoll_wait are shorter by the same factor. All processes with the same FAST_CLOCK_SINCE_NS (Unix time) show the same
 * time. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long long setting(const char *name, long long otherwise) {
  const char *text = getenv(name);
  return text ? atoll(text) : otherwise;
}

int clock_gettime(clockid_t id, struct timespec *time) {
  static long long since = -1, times = -1;
  if (times < 0) {
    since = setting("FAST_CLOCK_SINCE_NS", 0);
    times = setting("FAST_CLOCK_TIMES", 1);
  }
  long failed = syscall(SYS_clock_gettime, id, time);
  if (failed) return (int)failed;
  long long begun;
  switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE: begun = since; break;
    /* These clocks have no date, so they start at 0. */
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME: begun = 0; break;
    default: return 0; /* CPU time of a process or thread */
  }
  long long now = time->tv_sec * 1000000000LL + time->tv_nsec;
  now = begun + (now - begun) * times;
  time->tv_sec = now / 1000000000LL;
  time->tv_nsec = now % 1000000000LL;
  return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
  long long times = setting("FAST_CLOCK_TIMES", 1);
  /* Rounded up, because a wait that ends too early is only repeated. */
  if (timeout > 0) timeout = (int)((timeout + times - 1) / times);
  return (int)syscall(SYS_epoll_pwait, fd, events, most, timeout, NULL, 0);
}
