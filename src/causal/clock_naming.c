#include "causal/clock_naming.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "span/span_set.h"

const char *tspi_process_attribute(const tspi_process *process, const char *key)
{
    const char *value = tspi_process_get(process, key);

    return value && value[0] ? value : NULL;
}

static const char *const address_keys[] = {"ip", "host.ip", "ipv4", "ipv6", "net.host.ip", "k8s.pod.ip"};

static const char *get_address(const tspi_process *process)
{
    for (size_t k = 0; k < sizeof address_keys / sizeof address_keys[0]; k++) {
        const char *value = tspi_process_attribute(process, address_keys[k]);
        if (value)
            return value;
    }
    return NULL;
}

/* An address that tells nothing of the machine: loopback, unspecified, link-local. */
static bool is_anonymous(const char *address)
{
    return !strncmp(address, "127.", 4) || !strncmp(address, "169.254.", 8) || !strcmp(address, "0.0.0.0") ||
           !strcmp(address, "::1") || !strcmp(address, "::") || !strncasecmp(address, "fe80:", 5);
}

/* "10.0.2.221" and 24 to "10.0.2.0/24". false: no address, or the width is beyond it. */
static bool network(const char *address, unsigned width, char *ret, size_t size)
{
    unsigned char bytes[16];
    char text[INET6_ADDRSTRLEN];
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    unsigned bits = family == AF_INET ? 32 : 128;

    if (width > bits || inet_pton(family, address, bytes) != 1)
        return false;
    for (unsigned bit = width; bit < bits; bit++)
        bytes[bit / 8] &= (unsigned char)~(0x80u >> (bit % 8));
    if (!inet_ntop(family, bytes, text, sizeof text))
        return false;
    snprintf(ret, size, "%s/%u", text, width);
    return true;
}

tsp_status tspi_clock_key_parse(const char *key, tspi_clock_key *ret, tsp_error *err)
{
    memset(ret, 0, sizeof *ret);
    if (!key || !*key)
        return TSP_OK;
    ret->whole = key;
    if (strlen(key) >= sizeof ret->text)
        return tsp_error_set(err, TSP_EINVAL, "clock key '%.40s...' is too long", key);
    strcpy(ret->text, key);
    for (char *p = ret->text, *next; p; p = next) {
        if ((next = strchr(p, '+')))
            *next++ = 0;
        if (!*p || ret->parts_n == TSPI_CLOCK_KEY_PARTS)
            return tsp_error_set(err, TSP_EINVAL, "clock key '%s': want 1 to %d attributes joined by +", key,
                                 TSPI_CLOCK_KEY_PARTS);
        char *slash = strrchr(p, '/');
        ret->width[ret->parts_n] = -1;
        if (slash && slash[1] && strspn(slash + 1, "0123456789") == strlen(slash + 1)) {
            long width = strlen(slash + 1) < 4 ? strtol(slash + 1, NULL, 10) : 999;
            if (width > 128)
                return tsp_error_set(err, TSP_EINVAL, "clock key '%s': an address has no %s bits", key, slash + 1);
            ret->width[ret->parts_n] = (int)width;
            *slash = 0;
        }
        ret->part[ret->parts_n++] = p;
    }
    return TSP_OK;
}

bool tspi_clock_key_name(const tspi_clock_key *key, const tspi_process *process, char *ret, size_t size)
{
    size_t len = 0;

    for (unsigned k = 0; k < key->parts_n; k++) {
        const char *value = tspi_process_attribute(process, key->part[k]);
        char net[INET6_ADDRSTRLEN + 8];
        if (!value && (!strcmp(key->part[k], "ip") || !strcmp(key->part[k], "host.ip")))
            value = get_address(process);
        if (!value && !strcmp(key->part[k], "host.name"))
            value = tspi_process_attribute(process, "hostname");
        if (!value)
            return false;
        if (key->width[k] >= 0) {
            if (!network(value, (unsigned)key->width[k], net, sizeof net))
                return false;
            value = net;
        }
        len += (size_t)snprintf(ret + len, size - len, "%s%s", k ? "/" : "", value);
        if (len >= size)
            len = size - 1;
    }
    return true;
}

static const char *host_name(const tspi_process *process)
{
    const char *name = tspi_process_attribute(process, "host.name"),
               *pod = tspi_process_attribute(process, "k8s.pod.name");
    const char *container = tspi_process_attribute(process, "container.id");

    if (!name)
        name = tspi_process_attribute(process, "hostname");
    if (!name || (pod && !strcmp(name, pod)) || (container && !strncmp(container, name, strlen(name))))
        return NULL;
    return name;
}

const char *tspi_clock_default_name(const tspi_process *process, char *ret, size_t size)
{
    const char *value, *pid;
#define TAKE(key)                                                                                                      \
    if ((value = tspi_process_attribute(process, key))) {                                                              \
        snprintf(ret, size, "%s", value);                                                                              \
        return key;                                                                                                    \
    }
    if (tspi_process_attribute(process, "cloud.provider") || tspi_process_attribute(process, "cloud.platform"))
        TAKE("host.id");
    TAKE("k8s.node.uid");
    TAKE("k8s.node.name");
    TAKE("host.id");
    if ((value = host_name(process))) {
        snprintf(ret, size, "%s", value);
        return "host.name";
    }
    TAKE("k8s.pod.uid");
    TAKE("container.id");
    TAKE("k8s.pod.name");
    TAKE("service.instance.id");
#undef TAKE
    if ((value = tspi_process_attribute(process, "service.name")) &&
        (pid = tspi_process_attribute(process, "process.pid"))) {
        snprintf(ret, size, "%s/%s", value, pid);
        return "service.name+process.pid";
    }
    if ((value = get_address(process)) && !is_anonymous(value)) {
        snprintf(ret, size, "%s", value);
        return "ip";
    }
    return NULL;
}
