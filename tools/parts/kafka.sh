#!/usr/bin/env bash
# Apache Kafka, the real broker, for `--transport kafka`: by Maven, pinned by version and checksum, into .parts/kafka.
# usage: tools/parts/kafka.sh        A second run does nothing. About 65 MB to download; half a minute.
#
# Leaves lib/ (the jars), classpath (their names), meta/ (what Apache's own tool writes when it formats a broker's folder; a run starts from a
# copy) and broker.jsa (the classes that a broker loads, ready-made: it starts in 2 s instead of 3; it fits the Java that
# made it and is left aside by any other).
set -eu
. "$(dirname "$0")/lib.sh"

version=4.4.0
plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
to=$parts/kafka
stamp="kafka_2.13 $version, recipe 1"

need java openjdk-17-jre-headless
java_version=$(java -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p' | head -n 1)
[ "${java_version:-0}" -ge 17 ] || die "Java ${java_version:-of unknown version} is too old for Apache Kafka $version: install 17 or newer"
if [ "$(cat "$to/stamp" 2>/dev/null)" = "$stamp" ]; then
    say "Apache Kafka $version is there"
    exit 0
fi

need mvn maven
new=$parts/kafka.new
rm -rf "$new" && mkdir -p "$new/lib"
say "fetching Apache Kafka $version (45 jars, 43 MB, by Maven) ..."
quietly "$new/maven.log" mvn -B -f "$root/tools/parts/kafka/pom.xml" "$plugin:copy-dependencies" \
    -DincludeScope=runtime "-DoutputDirectory=$new/lib" ||
    die "cannot fetch Apache Kafka $version: Maven's words are above (is the network there?)"
(cd "$new/lib" && sha256sum --quiet --strict --check "$root/tools/parts/kafka/SHA256SUMS" >&2) ||
    die "a jar of Apache Kafka $version has another checksum than the one that is pinned"
[ "$(find "$new/lib" -name '*.jar' | wc -l)" = "$(wc -l <"$root/tools/parts/kafka/SHA256SUMS")" ] ||
    die "Maven fetched other jars than those that are pinned"

# Two free ports of loopback, for the broker that is started once here.
free_ports() {
    python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
for one in s: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in s))'
}

need python3 python3
read -r port controller <<<"$(free_ports)"
# Relative names, so that the archive of classes holds wherever the folder is.
classpath=$(cd "$new" && printf ':%s' lib/*.jar)
classpath=${classpath#:}
printf '%s' "$classpath" >"$new/classpath"
cat >"$new/once.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$new/once
log.cleaner.dedupe.buffer.size=4194304
END
cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
(cd "$new" && quietly "$new/format.log" java -cp "$classpath" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    kafka.tools.StorageTool format -t "$cluster" -c "$new/once.properties") ||
    die "Apache Kafka's StorageTool failed: its words are above"
cp -r "$new/once" "$new/meta"

say "starting the broker once, to keep the classes that it loads ..."
(cd "$new" && exec java -Xms128m -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-XX:ArchiveClassesAtExit=broker.jsa" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$classpath" kafka.Kafka "$new/once.properties" \
    >"$new/once.log" 2>&1) &
pid=$!
# It is up when its port answers.
python3 - "$port" "$pid" <<'END' || true
import os, socket, sys, time
end = time.monotonic() + 60
while time.monotonic() < end and os.path.exists(f"/proc/{sys.argv[2]}"):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        time.sleep(0.1)
END
kill "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
[ -s "$new/broker.jsa" ] || say "(no archive of classes was made: the broker will start a second more slowly)"
rm -rf "$new/once" "$new/once.properties" "$to"
printf '%s\n' "$stamp" >"$new/stamp"
mv "$new" "$to"
say "Apache Kafka $version is there: ${to#"$root"/}"
