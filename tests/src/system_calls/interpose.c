/* A library that stands between a program and the system calls by which it changes the world:
 * writes, syncs, cuts, removals and renames of files, and what it sends over the network. Loaded by
 * LD_PRELOAD, Linux only. It can write down every call, and end the program by SIGKILL at a chosen
 * one. The program itself is unchanged. mod.rs says what the variables mean.
 *
 * A write, a sync and a change of a file are written down when they have returned, a send before it
 * is made: a sync that stands above a send in the log had ended before that send began.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define VARIABLE(name) "MIDSLOT_SYSTEM_CALLS_" name
/* Pieces of one vectored call; more than any caller here uses. */
#define MOST_PIECES 62

enum moment { NEVER, BEFORE, HALF, AFTER };

static int log_file = -1;
static int log_bytes;
static const char *folder = "";
static const char *armed_file;
static const char *kill_kind = "", *kill_on = "";
static long kill_at;
static enum moment kill_moment = NEVER;
static atomic_long counted;
static atomic_int is_armed;

__attribute__((constructor)) static void begin(void) {
  const char *text;
  if ((text = getenv(VARIABLE("FOLDER")))) folder = text;
  armed_file = getenv(VARIABLE("ARMED"));
  if ((text = getenv(VARIABLE("KIND")))) kill_kind = text;
  if ((text = getenv(VARIABLE("ON")))) kill_on = text;
  if ((text = getenv(VARIABLE("KILL_AT")))) kill_at = atol(text);
  if ((text = getenv(VARIABLE("MOMENT")))) {
    if (strcmp(text, "before") == 0) kill_moment = BEFORE;
    if (strcmp(text, "half") == 0) kill_moment = HALF;
    if (strcmp(text, "after") == 0) kill_moment = AFTER;
  }
  log_bytes = getenv(VARIABLE("BYTES")) != NULL;
  if ((text = getenv(VARIABLE("LOG"))))
    log_file = open(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int armed(void) {
  if (atomic_load(&is_armed)) return 1;
  if (armed_file == NULL || access(armed_file, F_OK) != 0) return 0;
  atomic_store(&is_armed, 1);
  return 1;
}

/* One record: a line with the call, what it was made on and how many bytes follow, then these bytes
 * and the end of a line. One write to the end of the file, so that threads do not mix. */
static void note(const char *kind, const char *what, const struct iovec *pieces, int count) {
  if (log_file < 0) return;
  struct iovec all[MOST_PIECES + 2];
  char head[PATH_MAX + 64];
  size_t bytes = 0;
  int used = 1;
  for (int i = 0; i < count && log_bytes && i < MOST_PIECES; i++) {
    bytes += pieces[i].iov_len;
    all[used++] = pieces[i];
  }
  int length = snprintf(head, sizeof head, "%s %zu %s\n", kind, bytes, what);
  all[0] = (struct iovec){head, (size_t)length};
  all[used++] = (struct iovec){(void *)"\n", 1};
  int saved = errno;
  syscall(SYS_writev, log_file, all, used);
  errno = saved;
}

static void die(const char *kind, const char *what) {
  char text[PATH_MAX + 32];
  snprintf(text, sizeof text, "%s %s", kind, what);
  note("killed", text, NULL, 0);
  syscall(SYS_kill, getpid(), SIGKILL);
  for (;;) pause();
}

/* Whether this call is the one to end at. */
static int is_last(const char *kind, const char *name) {
  if (kill_moment == NEVER || !armed()) return 0;
  if (*kill_kind && strcmp(kill_kind, kind) != 0) return 0;
  if (*kill_on && strcmp(kill_on, name) != 0) return 0;
  return atomic_fetch_add(&counted, 1) + 1 == kill_at;
}

/* The name of a path below the folder that is watched. That one is known by its last part with its
 * slashes, because the folders above it may be reached over links. */
static int name_of_path(const char *path, char *name, size_t size) {
  if (*folder == 0 || strstr(path, folder) == NULL) return 0;
  const char *slash = strrchr(path, '/');
  snprintf(name, size, "%s", slash ? slash + 1 : path);
  return 1;
}

/* The name of an open file below the folder. Standard output and error are the program's log. */
static int name_of_file(int file, char *name, size_t size) {
  char link[64], path[PATH_MAX];
  if (file <= STDERR_FILENO || file == log_file) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  int saved = errno;
  ssize_t length = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (length <= 0 || path[0] != '/') return 0;
  path[length] = 0;
  return name_of_path(path, name, size);
}

/* "own port>other's port" of a TCP connection. */
static int name_of_socket(int file, char *name, size_t size) {
  struct sockaddr_in own, other;
  socklen_t own_size = sizeof own, other_size = sizeof other;
  int saved = errno;
  int found = getsockname(file, (struct sockaddr *)&own, &own_size) == 0 &&
              own.sin_family == AF_INET &&
              getpeername(file, (struct sockaddr *)&other, &other_size) == 0;
  errno = saved;
  if (!found) return 0;
  snprintf(name, size, "%d>%d", ntohs(own.sin_port), ntohs(other.sin_port));
  return 1;
}

/* What a call was told to carry, or half of it. */
static ssize_t carry(int file, const struct iovec *pieces, int count, off_t place, int flags,
                     int half, const char *kind) {
  struct iovec first;
  if (half) {
    first = (struct iovec){pieces[0].iov_base, (pieces[0].iov_len + 1) / 2};
    pieces = &first;
    count = 1;
  }
  if (place >= 0)
    return syscall(SYS_pwrite64, file, pieces[0].iov_base, pieces[0].iov_len, place);
  if (*kind == 's') {
    struct msghdr message = {.msg_iov = (struct iovec *)pieces, .msg_iovlen = (size_t)count};
    return syscall(SYS_sendmsg, file, &message, flags);
  }
  return syscall(SYS_writev, file, pieces, count);
}

/* Bytes that go to a file at a place, to its end (place -1), or to a connection. */
static ssize_t put(int file, const struct iovec *pieces, int count, off_t place, int flags,
                   int may_be_socket) {
  char name[PATH_MAX];
  const char *kind = "write";
  if (!name_of_file(file, name, sizeof name)) {
    if (!may_be_socket || !name_of_socket(file, name, sizeof name)) {
      if (place >= 0) return carry(file, pieces, count, place, flags, 0, "write");
      return flags ? carry(file, pieces, count, -1, flags, 0, "send")
                   : carry(file, pieces, count, -1, 0, 0, "write");
    }
    kind = "send";
  }
  int last = is_last(kind, name);
  if (last && kill_moment == BEFORE) die(kind, name);
  if (*kind == 's') note(kind, name, pieces, count);
  ssize_t result = carry(file, pieces, count, place, flags, last && kill_moment == HALF, kind);
  if (*kind == 'w') note(kind, name, pieces, count);
  if (last) die(kind, name);
  return result;
}

ssize_t write(int file, const void *bytes, size_t size) {
  struct iovec piece = {(void *)bytes, size};
  return put(file, &piece, 1, -1, 0, 1);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
  return put(file, pieces, count, -1, 0, 1);
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t place) {
  struct iovec piece = {(void *)bytes, size};
  return put(file, &piece, 1, place, 0, 0);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t place) {
  return pwrite64(file, bytes, size, place);
}

ssize_t send(int file, const void *bytes, size_t size, int flags) {
  struct iovec piece = {(void *)bytes, size};
  return put(file, &piece, 1, -1, flags | MSG_NOSIGNAL, 1);
}

/* Changes that carry no bytes. The call stands in an expression, so that it is made once at most. */
#define CHANGE(kind, is_named, call)           \
  do {                                         \
    char name[PATH_MAX];                       \
    int named = (is_named);                    \
    int last = named && is_last(kind, name);         \
    if (last && kill_moment != AFTER) die(kind, name); \
    long result = (call);                      \
    if (named) note(kind, name, NULL, 0);      \
    if (last) die(kind, name);                 \
    return (int)result;                        \
  } while (0)

int fsync(int file) {
  CHANGE("sync", name_of_file(file, name, sizeof name), syscall(SYS_fsync, file));
}

int fdatasync(int file) {
  CHANGE("sync", name_of_file(file, name, sizeof name), syscall(SYS_fdatasync, file));
}

int ftruncate64(int file, off64_t size) {
  CHANGE("cut", name_of_file(file, name, sizeof name), syscall(SYS_ftruncate, file, size));
}

int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

int unlink(const char *path) {
  CHANGE("remove", name_of_path(path, name, sizeof name), syscall(SYS_unlinkat, AT_FDCWD, path, 0));
}

int rename(const char *from, const char *to) {
  CHANGE("rename", name_of_path(to, name, sizeof name),
         syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}
