# Ends a cluster and removes its folder ($1) once standard input ends, which is when the process that
# holds its other side drops it or dies in whatever way.
#
# The processes of a cluster are those that work in its data folder: the server changes into it.
signal_all() {
  found=1
  for process in /proc/[0-9]*; do
    if [ "$process/cwd" -ef "$data" ]; then
      kill "-$1" "${process#/proc/}" && found=0
    fi
  done
  return $found
}

data=$1/data
cat

# Stopped processes take no other signal. QUIT ends a server at once but lets it give back its shared
# memory; whatever does not listen is killed.
signal_all CONT
signal_all QUIT
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  signal_all 0 || break
  sleep 0.1
done
while signal_all KILL; do sleep 0.1; done

# What a killed server could not give back. Its file tells who it was, the kernel what it has made: key,
# number, rights, size and maker are the first columns.
if [ -r "$data/postmaster.pid" ]; then
  read -r postmaster < "$data/postmaster.pid"
  while read -r _ memory _ _ maker _; do
    [ "$maker" = "$postmaster" ] && ipcrm -m "$memory"
  done < /proc/sysvipc/shm
fi
rm -rf "$1"
