"""Random traces in which clocks are right and yet stamps look wrong, as happens in every system. Used by blame.py.

Each function takes a random generator and yields spans of fix_traces.Span; times are true ns unless a stamp is meant to
lie, which is what the function is about. Whoever reads them must accuse no clock."""
from fix_traces import EPOCH, MS, Span

HOSTS = ["A", "B", "C", "D", "E"]


def ids(rng):
    while True:
        yield "%016x" % rng.getrandbits(63)


def exp(rng, mean):
    return int(rng.expovariate(1 / mean))


def traces(rng, n, seconds):
    for k in range(n):
        yield "%032x" % rng.getrandbits(128), EPOCH + int(seconds * 1e9 * k / n) + rng.randrange(100_000)


def busy(rng):
    """Full CPU: who writes a stamp waits for the CPU first. About a quarter of all sends are stamped after they were
    received, by any amount. Pipelines with an acknowledgement, as in the lab."""
    new, out = ids(rng), []
    wait, floor = rng.uniform(0.05, 0.3) * MS, rng.uniform(0.05, 0.3) * MS
    for trace, at in traces(rng, 800, 20):
        parent = None
        for here, there in zip(HOSTS, HOSTS[1:] + HOSTS[:1]):
            send, take = next(new), next(new)
            received = at + floor + exp(rng, 0.05 * MS)
            stamped = at + exp(rng, wait)
            out.append(Span(trace, send, parent, "PRODUCER", here, int(stamped), int(stamped) + 30_000))
            begun = received + exp(rng, wait)
            out.append(Span(trace, take, send, "CONSUMER", there, int(begun), int(begun) + 100_000))
            parent, at = take, begun + 100_000
    return out


def one_host(rng):
    """Inversions within hosts (instrumentation that stamps a child before its parent), among healthy calls between
    hosts."""
    new, out = ids(rng), []
    for trace, at in traces(rng, 800, 20):
        here, there = rng.sample(HOSTS, 2)
        client, server, inner = next(new), next(new), next(new)
        begin = at + MS + exp(rng, 0.4 * MS)
        end = begin + 3 * MS
        out.append(Span(trace, client, None, "CLIENT", here, at, end + MS + exp(rng, 0.4 * MS)))
        out.append(Span(trace, server, client, "SERVER", there, begin, end))
        early = exp(rng, 2 * MS) if rng.random() < 0.3 else -exp(rng, 1 * MS)
        out.append(Span(trace, inner, server, "INTERNAL", there, begin - early, end - early))
    return out


def queues(rng):
    """Asynchronous work and queues: children long after their parents, consumers after any wait, one way or both."""
    new, out = ids(rng), []
    wait = 10 ** rng.uniform(0, 3) * MS
    for trace, at in traces(rng, 800, 20):
        here, there = rng.sample(HOSTS[:rng.choice((2, 5))], 2)
        send, take = next(new), next(new)
        start = at + 300_000 + exp(rng, wait)
        if rng.random() < 0.5:
            out.append(Span(trace, send, None, "PRODUCER", here, at, at + 200_000))
            out.append(Span(trace, take, send, "CONSUMER", there, start, start + MS))
        else:
            out.append(Span(trace, send, None, "INTERNAL", here, at, at + 200_000))
            out.append(Span(trace, take, send, "INTERNAL", there, start, start + MS))
    return out


def congestion(rng):
    """One direction of one link slower by some ms, for a while or for good; delays that change their spread."""
    new, out = ids(rng), []
    slow, by = tuple(rng.sample(HOSTS, 2)), rng.uniform(1, 10) * MS
    first, last = sorted(rng.uniform(0, 20e9) for _ in range(2))
    for trace, at in traces(rng, 2000, 20):
        here, there = rng.sample(HOSTS, 2)
        extra = lambda a, b: by + exp(rng, by / 2) if (a, b) == slow and first < at - EPOCH < last else 0
        client, server = next(new), next(new)
        begin = at + MS + exp(rng, 0.4 * MS) + extra(here, there)
        end = begin + 2 * MS
        out.append(Span(trace, client, None, "CLIENT", here, at, int(end + MS + exp(rng, 0.4 * MS) + extra(there, here))))
        out.append(Span(trace, server, client, "SERVER", there, int(begin), int(end)))
    return out


def retries(rng):
    """A client that tries again covers all attempts, gives up on slow ones, and ends with the first answer: the server
    of an abandoned attempt ends long after its call."""
    new, out = ids(rng), []
    patience = rng.uniform(2, 6) * MS
    for trace, at in traces(rng, 800, 20):
        here, there, other = rng.sample(HOSTS, 3)
        client, start, answer = next(new), at, None
        servers = []
        while answer is None:
            begin = start + MS + exp(rng, 0.4 * MS)
            end = begin + (exp(rng, 20 * MS) if rng.random() < 0.4 else 100_000)
            back = end + MS + exp(rng, 0.4 * MS)
            servers.append(Span(trace, next(new), client, "SERVER", rng.choice((there, other)), begin, end))
            answer = back if back < start + patience + 2 * MS else None
            start += patience
        out.append(Span(trace, client, None, "CLIENT", here, at, int(answer)))
        out += servers
    for s in out:
        s.start, s.end = int(s.start), int(s.end)
    return out


def timeouts(rng):
    """Calls cut off by the client after a fixed time, while servers go on: by unlike amounts or always the same."""
    new, out = ids(rng), []
    limit, same = rng.uniform(4, 10) * MS, rng.random() < 0.5
    share = rng.uniform(0.2, 0.9)
    for trace, at in traces(rng, 800, 20):
        here, there = rng.sample(HOSTS, 2)
        client, server = next(new), next(new)
        begin = at + MS + exp(rng, 0.4 * MS)
        work = (30 * MS if same else exp(rng, 30 * MS)) if rng.random() < share else MS
        end = min(at + limit, begin + work + MS + exp(rng, 0.4 * MS))
        out.append(Span(trace, client, None, "CLIENT", here, at, int(end)))
        out.append(Span(trace, server, client, "SERVER", there, int(begin), int(begin + work)))
    return out


def few(rng):
    """A handful of hops an edge, of which some are stamped late: too little to tell anything."""
    new, out = ids(rng), []
    for trace, at in traces(rng, rng.randrange(1, 40), 20):
        here, there = rng.sample(HOSTS, 2)
        send, take = next(new), next(new)
        received = at + MS + exp(rng, 0.4 * MS)
        late = exp(rng, 5 * MS) if rng.random() < 0.3 else 0
        out.append(Span(trace, send, None, "PRODUCER", here, at + late, at + late + 200_000))
        out.append(Span(trace, take, send, "CONSUMER", there, received, received + MS))
    return out


INNOCENT = {"full CPU": busy, "inversions on one host": one_host, "queues": queues, "congestion": congestion,
            "retries": retries, "timeouts": timeouts, "few hops": few}
