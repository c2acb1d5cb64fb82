#include "lab/netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/link.h"

enum { QUEUE_PACKETS = 10000 };

static tsp_status set_flags_up(int socket_fd, const char *device, tsp_error *err)
{
    struct ifreq request = {0};

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(socket_fd, SIOCSIFFLAGS, &request) != 0)
        return tsp_error_sys(err, errno, "cannot bring up device '%s'", device);
    return TSP_OK;
}

static void set_address(struct ifreq *request, uint32_t address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    memcpy(&request->ifr_addr, &in, sizeof in);
}

static tsp_status configure(const char *device, size_t k, tsp_error *err)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    tsp_status rc = fd < 0 ? tsp_error_sys(err, errno, "cannot open a socket") : set_flags_up(fd, "lo", err);

    if (rc == TSP_OK) {
        snprintf(request.ifr_name, sizeof request.ifr_name, "%s", device);
        set_address(&request, tspi_link_address(k));
        int failed = ioctl(fd, SIOCSIFADDR, &request);
        set_address(&request, 0xffff0000u);
        failed |= ioctl(fd, SIOCSIFNETMASK, &request);
        request.ifr_qlen = QUEUE_PACKETS;
        failed |= ioctl(fd, SIOCSIFTXQLEN, &request);
        rc = failed ? tsp_error_sys(err, errno, "cannot configure device '%s'", device) : set_flags_up(fd, device, err);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

tsp_status tspi_netns_enter(size_t k, int *ret_tun_fd, tsp_error *err)
{
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};

    if (unshare(CLONE_NEWNET) != 0)
        return tsp_error_sys(err, errno, "cannot make a network namespace (it needs root)");
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return tsp_error_sys(err, errno, "cannot open /dev/net/tun");
    strcpy(request.ifr_name, "lab0");
    tsp_status rc = ioctl(fd, TUNSETIFF, &request) != 0 ? tsp_error_sys(err, errno, "cannot make a TUN device")
                                                        : configure("lab0", k, err);
    if (rc != TSP_OK)
        close(fd);
    else
        *ret_tun_fd = fd;
    return rc;
}

tsp_status tspi_netns_available(tsp_error *err)
{
    tsp_error tried = {0};
    int fds[2], status;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return tsp_error_sys(err, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0) {
        int tun_fd;
        tsp_status rc = tspi_netns_enter(0, &tun_fd, &tried);
        ssize_t n = write(fds[1], &tried, sizeof tried);
        _exit(n == (ssize_t)sizeof tried && rc == TSP_OK ? 0 : 1);
    }
    close(fds[1]);
    ssize_t n = read(fds[0], &tried, sizeof tried);
    close(fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return tsp_error_sys(err, errno, "cannot start a process");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TSP_OK;
    return tsp_error_set(err, TSP_EUNSUPPORTED, "%s",
                         n == (ssize_t)sizeof tried && tried.message[0] ? tried.message
                                                                        : "cannot make a network namespace");
}

tsp_status tspi_own_shm_enter(uint64_t bytes, tsp_error *err)
{
    char options[64];

    snprintf(options, sizeof options, "mode=1777,size=%" PRIu64, bytes);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("truespan", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        return tsp_error_sys(err, errno, "cannot mount shared memory of its own");
    return TSP_OK;
}

bool tspi_own_shm_available(void)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(tspi_own_shm_enter(1 << 20, NULL) == TSP_OK ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

tsp_status tspi_fd_send(int socket_fd, int fd, tsp_error *err)
{
    char byte = 'f', control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    return sendmsg(socket_fd, &msg, MSG_NOSIGNAL) == 1 ? TSP_OK : tsp_error_sys(err, errno, "cannot pass a descriptor");
}

tsp_status tspi_fd_recv(int socket_fd, int *ret_fd, tsp_error *err)
{
    char byte = 0, control[CMSG_SPACE(sizeof *ret_fd)] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr msg = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    ssize_t n;
    do
        n = recvmsg(socket_fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return tsp_error_set(err, TSP_ECLOSED, "no descriptor came");
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    if (!head || head->cmsg_type != SCM_RIGHTS)
        return tsp_error_set(err, TSP_ECLOSED, "no descriptor came");
    memcpy(ret_fd, CMSG_DATA(head), sizeof *ret_fd);
    return TSP_OK;
}
