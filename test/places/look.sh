# look.sh PROGRAM DIRECTORY OPTIONS-OF-SERVE...: what check says of the profiles here, how a start ends, and what a launch of each does:
# by the server, where it serves and can be called, otherwise by itself; of the first always by itself, too.
program=$1 configs=$2
shift 2
run() {
  echo "@@ $1"
  "$program" run "c/$1/x" --config "$configs/$1.json" --raw 2>&1
}
# Fails where the server cannot be reached here. What asks is not what is tried: where there is a program that starts sooner, that does.
call() {
  if command -v curl >/dev/null; then
    curl -s -d '' "$1/api/c/$2/x" 2>&1
  else
    "$program" call --url "$1" --raw "c/$2/x" 2>&1
    [ $? != 3 ]
  fi
}
echo "@@ check"
"$program" check --json "$configs/all.json" 2>&1
run minimal
echo "@@ serve"
/bin/sh -c 'echo "pid $$"; exec "$0" serve --config "$@" 2>&1' "$program" "$configs/all.json" "$@" | {
  called=
  while IFS= read -r line; do
    case $line in
      "pid "*) pid=${line#pid } ;;
      *"serves on"*)
        echo "$line"
        for profile in network device admin; do
          answer=$(call "${line##* }" "$profile") && called="$called@@ $profile
$answer
"
        done
        kill "$pid"
        ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
  for profile in network device admin; do
    case $called in
      *"@@ $profile"*) ;;
      *) run $profile ;;
    esac
  done
  printf %s "$called"
}
echo "@@ end"
