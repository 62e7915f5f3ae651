# How ./run, ./test and ./lint show what they do: one line per step with its time, the full output in a log.
# Sourced by bash. On a terminal the line of a running step is live; in a pipe lines are plain, stable and complete.

steps_live=0
[ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && steps_live=1
steps_bold='' steps_dim='' steps_good='' steps_bad='' steps_plain=''
if [ "$steps_live" = 1 ] && [ -z "${NO_COLOR:-}" ]; then
  steps_bold=$'\e[1m' steps_dim=$'\e[2m' steps_good=$'\e[32m' steps_bad=$'\e[31m' steps_plain=$'\e[0m'
fi
# The middle column; narrower where the terminal is, for a live line that wraps cannot be taken back.
steps_width=56
if [ "$steps_live" = 1 ]; then
  steps_columns=$(stty size 2>/dev/null <&1) && steps_columns=${steps_columns#* } || steps_columns=80
  [ $((steps_columns - 34)) -ge "$steps_width" ] || steps_width=$((steps_columns > 54 ? steps_columns - 34 : 20))
fi
steps_title_shown=0
steps_child=''
steps_child_may_be_killed=1

# The first line of everything: program, version, commit.
steps_title() {
  [ "$steps_title_shown" = 0 ] || return 0
  steps_title_shown=1
  local version commit
  version=$(sed -n 's/^project(opi VERSION \([0-9.]*\).*/\1/p' "$root/CMakeLists.txt")
  commit=$(git -c safe.directory='*' -C "$root" rev-parse --short=7 HEAD 2>/dev/null) || commit=unknown
  printf '%sopi %s (%s)%s  Operations Manager\n' "$steps_bold" "$version" "$commit" "$steps_plain"
}

# now_ms: milliseconds since the epoch, without starting a process.
now_ms() {
  local now=${EPOCHREALTIME/[.,]/}
  printf '%s' "${now%???}"
}

# duration MILLISECONDS: "0.4 s", "41.2 s", "4 m 51 s".
duration() {
  if [ "$1" -lt 60000 ]; then
    printf '%d.%d s' $(($1 / 1000)) $(($1 % 1000 / 100))
  else
    printf '%d m %02d s' $(($1 / 60000)) $(($1 % 60000 / 1000))
  fi
}

# steps_line NAME DETAIL STATE TIME: one line of the table; DETAIL is cut to its column.
steps_line() {
  local detail=$2 colour=''
  [ ${#detail} -le "$steps_width" ] || detail="${detail:0:$((steps_width - 1))}…"
  [ "$3" = done ] && colour=$steps_good
  [ "$3" = failed ] && colour=$steps_bad
  printf '  %-12s %-*s %s%-7s%s %s\n' "$1" "$steps_width" "$detail" "$colour" "$3" "$steps_plain" "$4"
}

steps_clear() {
  [ "$steps_live" = 0 ] || printf '\r\e[K'
}

# progress_of LOG: what ninja last said of its count, as "12 of 148".
progress_of() {
  local line
  line=$(tail -c 4096 -- "$1" 2>/dev/null | tr '\r' '\n' | grep -o '^\[[0-9]*/[0-9]*\]' | tail -n 1)
  [ -n "$line" ] || return 1
  line=${line#[}
  printf '%s of %s' "${line%%/*}" "$(printf '%s' "${line#*/}" | tr -d ']')"
}

# steps_detail DETAIL LOG: a trailing "%" in DETAIL stands for the count of files.
steps_detail() {
  local count
  case $1 in
    *%) if count=$(progress_of "$2"); then printf '%s%s files' "${1%?}" "$count"; else printf '%s' "${1%, %}"; fi ;;
    *) printf '%s' "$1" ;;
  esac
}

# step [-q] NAME DETAIL LOG COMMAND…: runs COMMAND with its output appended to LOG and shows one line. Fails as COMMAND
# does, after the end of the log. -q: says nothing when it took under a second.
step() {
  local quiet=0
  if [ "$1" = -q ]; then quiet=1; shift; fi
  local name=$1 detail=$2 log=$3 started code=0 spent told=0 before shown
  shift 3
  before=$(stat -c %s -- "$log" 2>/dev/null) || before=0
  started=$(now_ms)
  "$@" >>"$log" 2>&1 </dev/null &
  steps_child=$!
  while kill -0 "$steps_child" 2>/dev/null; do
    spent=$(($(now_ms) - started))
    if [ "$spent" -ge 1000 ] || [ "$quiet" = 0 ]; then steps_title; fi
    if [ "$steps_live" = 1 ] && [ "$spent" -ge 300 ]; then
      steps_clear
      shown=$(steps_detail "$detail" "$log")
      printf '  %-12s %-*s %s%-7s %s%s' "$name" "$steps_width" "${shown:0:$steps_width}" \
        "$steps_dim" '' "$(duration "$spent")" "$steps_plain"
    elif [ "$steps_live" = 0 ] && [ $((spent / 30000)) -gt "$told" ]; then
      told=$((spent / 30000))
      steps_line "$name" "$(steps_detail "$detail" "$log")" '...' "$(duration "$spent")"
    fi
    steps_pause "$spent"
  done
  wait "$steps_child" || code=$?
  steps_child=''
  spent=$(($(now_ms) - started))
  steps_clear
  if [ "$code" != 0 ]; then
    steps_title
    steps_line "$name" "$(steps_detail "$detail" "$log")" failed "$(duration "$spent")"
    { echo; tail -c "+$((before + 1))" -- "$log" | tail -n 40 | sed 's/^/    /'; echo; echo "    all of it: $log"; } >&2
  elif [ "$quiet" = 0 ] || [ "$spent" -ge 1000 ]; then
    steps_title
    steps_line "$name" "$(steps_detail "$detail" "$log")" done "$(duration "$spent")"
  fi
  return "$code"
}

# A short pause between two looks at a running step: short at first, so that quick steps stay quick.
steps_pause() {
  if [ "$1" -lt 500 ]; then sleep 0.02; elif [ "$1" -lt 5000 ]; then sleep 0.1; else sleep 0.5; fi
}

# refuse MESSAGE: one line, and the end.
refuse() {
  steps_clear
  printf '%s: %s\n' "$script_name" "$1" >&2
  exit 1
}

# A signal ends the step that runs, then us; a package installation is left to end, for half of one is worse.
steps_interrupted() {
  trap - INT TERM HUP
  steps_clear
  if [ -n "$steps_child" ]; then
    [ "$steps_child_may_be_killed" = 0 ] || kill -TERM "$steps_child" 2>/dev/null
    wait "$steps_child" 2>/dev/null
  fi
  exit "$1"
}
trap 'steps_interrupted 130' INT
trap 'steps_interrupted 143' TERM
trap 'steps_interrupted 129' HUP

# jobs_count: parallel compilations: one a core, fewer when memory is short (a big file takes up to 800 MB).
jobs_count() {
  local cores memory_kb jobs
  cores=$(nproc 2>/dev/null || echo 2)
  memory_kb=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo 2>/dev/null)
  jobs=$((${memory_kb:-4000000} / 800000))
  [ "$jobs" -ge 1 ] || jobs=1
  [ "$jobs" -le "$cores" ] || jobs=$cores
  printf '%s' "$jobs"
}

# configure PRESET LOG: runs CMake when there is no build yet, or when it belongs to another folder.
configure() {
  local folder="$root/build/$1" home=''
  if [ -f "$folder/CMakeCache.txt" ]; then
    home=$(sed -n 's/^CMAKE_HOME_DIRECTORY:INTERNAL=//p' "$folder/CMakeCache.txt")
    [ "$home" = "$root" ] || rm -rf -- "$folder"
  fi
  [ ! -f "$folder/build.ninja" ] || [ "$configure_again" = 1 ] || return 0
  step -q configuring "$1" "$2" cmake --preset "$1" -S "$root"
}
configure_again=0

# build PRESET LOG [TARGETS…]
build() {
  local preset=$1 log=$2
  shift 2
  NINJA_STATUS='[%f/%t] ' step -q building "$preset, %" "$log" ninja -C "$root/build/$preset" -j "$(jobs_count)" "$@"
}

# What builds write beside build/: nothing. Without a home that can be written, ccache keeps its cache in there too.
if [ -z "${CCACHE_DIR:-}" ] && { [ -z "${HOME:-}" ] || [ ! -w "${HOME:-/}" ]; }; then
  export CCACHE_DIR="$root/build/ccache"
fi
