#include "lab/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "lab/child.h"
#include "lab/link.h"
#include "lab/netns.h"
#include "lab/priority.h"
#include "lab/scratch.h"

/* In a namespace all ports are free. */
enum { NETNS_PORT = 9092, NETNS_CONTROLLER_PORT = 9093 };
/* The largest message and what Kafka puts around it, as the driver has it. */
enum { MESSAGE_MAX_BYTES = 17 * 1024 * 1024 };
enum { CLASSPATH_MAX_BYTES = 64 * 1024, WORDS_BYTES = 16 * 1024 };
static const int64_t stop_timeout_ns = 3 * TSP_NS_PER_S;

/* ------------------------------------------------------------------ what it takes */

static void find_home(char *ret_home, size_t size)
{
    const char *parts = getenv("TRUESPAN_PARTS");

    if (parts && *parts)
        snprintf(ret_home, size, "%s/kafka", parts);
    else
        snprintf(ret_home, size, "%s", KAFKA_ROOT);
}

/* $JAVA_HOME's java, or the first in $PATH. */
static bool find_java(char *ret_path, size_t size)
{
    const char *home = getenv("JAVA_HOME"), *path = getenv("PATH");

    if (home && *home) {
        snprintf(ret_path, size, "%s/bin/java", home);
        if (access(ret_path, X_OK) == 0)
            return true;
    }
    for (const char *at = path ? path : ""; *at;) {
        size_t len = strcspn(at, ":");
        snprintf(ret_path, size, "%.*s/java", (int)len, at);
        if (len && access(ret_path, X_OK) == 0)
            return true;
        at += len + (at[len] == ':');
    }
    return false;
}

tsp_status tspi_broker_available(tsp_error *err)
{
    char home[PATH_MAX], path[PATH_MAX + 32];

    find_home(home, sizeof home);
    snprintf(path, sizeof path, "%s/stamp", home);
    if (access(path, R_OK) != 0)
        return tsp_error_set(err, TSP_EUNSUPPORTED,
                             "there is no Apache Kafka in %s: tools/parts/kafka.sh fetches it, or name a broker that "
                             "runs already with --kafka HOST:PORT",
                             home);
    if (!find_java(path, sizeof path))
        return tsp_error_set(err, TSP_EUNSUPPORTED,
                             "there is no Java to run Apache Kafka with: install version 17 or newer (Debian: "
                             "openjdk-17-jre-headless), or name a broker that runs already with --kafka HOST:PORT");
    return TSP_OK;
}

/* A listening socket at host:want (want 0 = any port), to see that it can be had. */
static tsp_status try_port(const char *host, uint16_t want, int *ret_fd, uint16_t *ret_port, tsp_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    char port[16];
    int one = 1;

    snprintf(port, sizeof port, "%u", want);
    int failed = getaddrinfo(host, port, &hints, &found);
    if (failed)
        return tsp_error_set(err, TSP_EIO, "the Kafka broker cannot listen at '%s': %s", host, gai_strerror(failed));
    int fd = *ret_fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool listens = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1) == 0 &&
                   getsockname(fd, (struct sockaddr *)&at, &size) == 0;
    int why = errno;
    freeaddrinfo(found);
    if (!listens && why == EADDRINUSE)
        return tsp_error_set(err, TSP_EIO, "port %u on %s is taken: choose another 'port' or leave it out", want, host);
    if (!listens)
        return tsp_error_sys(err, why, "the Kafka broker cannot listen at '%s'", host);
    *ret_port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                               : ((struct sockaddr_in *)&at)->sin_port);
    return TSP_OK;
}

/* Two ports that nobody has now, the clients' at host and the controller's on loopback: the sockets are held together,
 * so that they differ. */
static tsp_status free_ports(const char *host, uint16_t want, uint16_t ret_ports[2], tsp_error *err)
{
    int fds[2] = {-1, -1};
    tsp_status rc = try_port(host, want, &fds[0], &ret_ports[0], err);

    if (rc == TSP_OK)
        rc = try_port("127.0.0.1", 0, &fds[1], &ret_ports[1], err);
    for (int k = 0; k < 2; k++)
        if (fds[k] >= 0)
            close(fds[k]);
    return rc;
}

/* ------------------------------------------------------------------ its folder */

/* Small buffers, one partition of each internal topic, a group that does not wait for more members. */
static const char properties[] = "process.roles=broker,controller\n"
                                 "node.id=1\n"
                                 "controller.listener.names=CONTROLLER\n"
                                 "inter.broker.listener.name=PLAINTEXT\n"
                                 "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                                 "auto.create.topics.enable=false\n"
                                 "num.network.threads=2\n"
                                 "num.io.threads=2\n"
                                 "background.threads=2\n"
                                 "num.recovery.threads.per.data.dir=1\n"
                                 "offsets.topic.replication.factor=1\n"
                                 "offsets.topic.num.partitions=1\n"
                                 "transaction.state.log.replication.factor=1\n"
                                 "transaction.state.log.min.isr=1\n"
                                 "transaction.state.log.num.partitions=1\n"
                                 "share.coordinator.state.topic.replication.factor=1\n"
                                 "share.coordinator.state.topic.min.isr=1\n"
                                 "group.initial.rebalance.delay.ms=0\n"
                                 "log.cleaner.dedupe.buffer.size=4194304\n"
                                 "log.index.size.max.bytes=1048576\n"
                                 "broker.session.timeout.ms=1500\n"
                                 "broker.heartbeat.interval.ms=300\n";

static tsp_status write_properties(const tspi_broker *broker, uint16_t controller_port, tsp_error *err)
{
    char path[4300];
    tspi_buf text = {0};

    tspi_buf_puts(&text, properties);
    tspi_buf_printf(&text, "controller.quorum.voters=1@127.0.0.1:%u\n", controller_port);
    tspi_buf_printf(&text, "listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%u\n", broker->address, controller_port);
    tspi_buf_printf(&text, "advertised.listeners=PLAINTEXT://%s\n", broker->address);
    tspi_buf_printf(&text, "message.max.bytes=%d\nlog.dirs=%s/data\n", MESSAGE_MAX_BYTES, broker->data);
    snprintf(path, sizeof path, "%s/server.properties", broker->data);
    tsp_status rc = tspi_file_replace(path, text.data, text.len, err);
    tspi_buf_release(&text);
    return rc;
}

struct copying {
    const char *from, *to;
    tsp_status rc;
    tsp_error *err;
};
static struct copying copying; /* nftw hands nothing through; one thread starts brokers */

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char to[4600];
    tspi_buf bytes = {0};

    (void)st;
    (void)ftw;
    snprintf(to, sizeof to, "%s%s", copying.to, path + strlen(copying.from));
    if (type == FTW_D) {
        if (mkdir(to, 0777) != 0)
            copying.rc = tsp_error_sys(copying.err, errno, "cannot make the folder '%s'", to);
    } else {
        copying.rc = tspi_buf_read_file(&bytes, path, 0, copying.err);
        if (copying.rc == TSP_OK)
            copying.rc = tspi_file_replace(to, bytes.data, bytes.len, copying.err);
        tspi_buf_release(&bytes);
    }
    return copying.rc != TSP_OK;
}

/* A broker's folder is what Apache's tool made of an empty one, copied. */
static tsp_status make_folder(const tspi_broker *broker, const char *home, tsp_error *err)
{
    char from[PATH_MAX + 32], to[4300];

    if (mkdir(broker->data, 0777) != 0)
        return tsp_error_sys(err, errno, "cannot make the folder '%s'", broker->data);
    snprintf(from, sizeof from, "%s/meta", home);
    snprintf(to, sizeof to, "%s/data", broker->data);
    copying = (struct copying){from, to, TSP_OK, err};
    if (nftw(from, copy_one, 16, FTW_PHYS) != 0 && copying.rc == TSP_OK)
        return tsp_error_sys(err, errno, "cannot read '%s'", from);
    return copying.rc;
}

/* ------------------------------------------------------------------ starting */

static tsp_status read_classpath(const char *home, tspi_buf *ret_text, tsp_error *err)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/classpath", home);
    tsp_status rc = tspi_buf_read_file(ret_text, path, CLASSPATH_MAX_BYTES, err);
    if (rc == TSP_OK)
        tspi_buf_putc(ret_text, '\0');
    return rc;
}

/* Relative names of jars and of the archive of classes: the archive was made with the same. No log of the virtual
 * machine (it would complain of an archive that does not fit), no file beside its folder. */
static void exec_java(const char *java, const char *home, const char *classpath, const tspi_broker *broker)
{
    char config[4300], scratch[4300];

    snprintf(config, sizeof config, "%s/server.properties", broker->data);
    snprintf(scratch, sizeof scratch, "-Djava.io.tmpdir=%s", broker->data);
    if (chdir(home) == 0)
        execl(java, "java", "-Xms128m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
              "-XX:SharedArchiveFile=broker.jsa", "-Xlog:disable", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
              scratch, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, "kafka.Kafka", config, NULL);
}

/* In the child: die with its starter, leave Ctrl-C to it, enter the namespace. What fails is told over tell_fd, which
 * closes by itself when Java runs. */
static void run_child(const tspi_broker *broker, const tspi_broker_config *config, const char *java, const char *home,
                      const char *classpath, int log_fd, int pass_fd, int tell_fd)
{
    tsp_error err = {0};
    int tun_fd, null_fd = open("/dev/null", O_RDONLY);
    tsp_status rc = TSP_OK;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    if (config->netns) {
        rc = tspi_netns_enter(config->index, &tun_fd, &err);
        if (rc == TSP_OK)
            rc = tspi_fd_send(pass_fd, tun_fd, &err);
    }
    if (rc == TSP_OK) {
        tspi_prefer_this_process(TSPI_PREFER_NODE);
        dup2(null_fd, STDIN_FILENO);
        dup2(log_fd, STDOUT_FILENO);
        dup2(log_fd, STDERR_FILENO);
        exec_java(java, home, classpath, broker);
        tsp_error_sys(&err, errno, "cannot run %s", java);
    }
    ssize_t n = write(tell_fd, &err, sizeof err);
    _exit(n > 0 ? 2 : 3);
}

/* Fork, and wait until Java runs or the child has said why not. */
static tsp_status launch(tspi_broker *broker, const tspi_broker_config *config, const char *home, const char *classpath,
                         int log_fd, int *ret_tun_fd, tsp_error *err)
{
    char java[PATH_MAX];
    tsp_error said = {0};
    int pass[2] = {-1, -1}, told[2] = {-1, -1};
    tsp_status rc = TSP_OK;

    find_java(java, sizeof java);
    if (pipe2(told, O_CLOEXEC) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pass) != 0)
        rc = tsp_error_sys(err, errno, "cannot make a pipe");
    else if ((broker->pid = fork()) == 0)
        run_child(broker, config, java, home, classpath, log_fd, pass[1], told[1]);
    else if (broker->pid < 0) {
        rc = tsp_error_sys(err, errno, "cannot start the Kafka broker");
        broker->pid = 0;
    }
    if (told[1] >= 0)
        close(told[1]);
    if (pass[1] >= 0)
        close(pass[1]);
    if (rc == TSP_OK && read(told[0], &said, sizeof said) == (ssize_t)sizeof said)
        rc = tsp_error_set(err, said.code, "the Kafka broker: %s", said.message);
    if (rc == TSP_OK && config->netns)
        rc = tspi_fd_recv(pass[0], ret_tun_fd, err);
    if (told[0] >= 0)
        close(told[0]);
    if (pass[0] >= 0)
        close(pass[0]);
    return rc;
}

tsp_status tspi_broker_start(tspi_broker *broker, const tspi_broker_config *config, int *ret_tun_fd, tsp_error *err)
{
    const char *host = config->host ? config->host : "127.0.0.1";
    char home[PATH_MAX], folder[4096];
    uint16_t ports[2] = {NETNS_PORT, NETNS_CONTROLLER_PORT};
    uint32_t in = tspi_link_address(config->index);
    tspi_buf classpath = {0};
    int log_fd = -1;

    *broker = (tspi_broker){0};
    find_home(home, sizeof home);
    tsp_status rc = tspi_broker_available(err);
    if (rc == TSP_OK && !realpath(config->folder, folder))
        rc = tsp_error_sys(err, errno, "cannot find the folder '%s'", config->folder);
    if (rc == TSP_OK && !config->netns)
        rc = free_ports(host, config->port, ports, err);
    if (rc != TSP_OK)
        return rc;
    if (config->netns)
        snprintf(broker->address, sizeof broker->address, "%u.%u.%u.%u:%u", in >> 24, in >> 16 & 255, in >> 8 & 255,
                 in & 255, ports[0]);
    else
        snprintf(broker->address, sizeof broker->address, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, ports[0]);
    snprintf(broker->data, sizeof broker->data, "%s/broker", folder);
    snprintf(broker->log_path, sizeof broker->log_path, "%s/broker.log", folder);
    log_fd = open(broker->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (log_fd < 0)
        rc = tsp_error_sys(err, errno, "cannot open '%s'", broker->log_path);
    if (rc == TSP_OK)
        rc = make_folder(broker, home, err);
    if (rc == TSP_OK)
        rc = write_properties(broker, ports[1], err);
    if (rc == TSP_OK)
        rc = read_classpath(home, &classpath, err);
    if (rc == TSP_OK)
        rc = launch(broker, config, home, (char *)classpath.data, log_fd, ret_tun_fd, err);
    if (log_fd >= 0)
        close(log_fd);
    tspi_buf_release(&classpath);
    if (rc != TSP_OK)
        tspi_broker_stop(broker);
    return rc;
}

/* ------------------------------------------------------------------ watching and ending */

/* The last line of the log that speaks of an error; the log's own stamp and thread are left out. */
static void last_words(const tspi_broker *broker, char *ret_words, size_t size)
{
    static const char *const marks[] = {" ERROR ", "Exception", "Error"};
    static const char cause[] = "No space left on device"; /* of whatever comes after it */
    char text[WORDS_BYTES + 1];
    int fd = open(broker->log_path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t n = fd < 0 ? 0 : pread(fd, text, WORDS_BYTES, end > WORDS_BYTES ? end - WORDS_BYTES : 0);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    snprintf(ret_words, size, "it left no words");
    if (strstr(text, cause)) {
        snprintf(ret_words, size, "%s", cause);
        return;
    }
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        for (size_t k = 0; k < sizeof marks / sizeof *marks; k++)
            if (strstr(line, marks[k]) && strncmp(line, "\tat ", 4) != 0) {
                snprintf(ret_words, size, "%s", line);
                break;
            }
}

tsp_status tspi_broker_check(tspi_broker *broker, tsp_error *err)
{
    char words[256];
    int status;

    if (broker->pid <= 0 || waitpid(broker->pid, &status, WNOHANG) != broker->pid)
        return TSP_OK;
    broker->pid = 0;
    tsp_status rc = tspi_child_ended("the Kafka broker", status, err);
    if (WIFSIGNALED(status))
        return rc;
    last_words(broker, words, sizeof words);
    return tsp_error_set(err, rc, "the Kafka broker ended with exit code %d: %s", WEXITSTATUS(status), words);
}

/* Its data are of no use to anybody any more: ask first all the same, for the words in its log. */
void tspi_broker_stop(tspi_broker *broker)
{
    if (broker->pid > 0)
        kill(broker->pid, SIGTERM);
    tspi_child_reap(&broker->pid, tspi_monotonic_ns() + stop_timeout_ns);
    tspi_scratch_remove(broker->data);
    broker->data[0] = '\0';
}
