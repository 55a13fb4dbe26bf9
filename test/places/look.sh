# look.sh PROGRAM DIRECTORY OPTIONS-OF-SERVE...: what check says of the profiles here, what a launch of each does, and how a start ends.
program=$1 configs=$2
shift 2
echo "@@ check"
"$program" check --json "$configs/all.json" 2>&1
for profile in minimal network device admin; do
  echo "@@ $profile"
  "$program" run "c/$profile/x" --config "$configs/all.json" --raw 2>&1
done
echo "@@ serve"
/bin/sh -c 'echo "pid $$"; exec "$0" serve --config "$@" 2>&1' "$program" "$configs/all.json" "$@" |
  while IFS= read -r line; do
    case $line in
      "pid "*) pid=${line#pid } ;;
      *"serves on"*) echo "$line"; kill "$pid" ;;
      *) printf '%s\n' "$line" ;;
    esac
  done
echo "@@ end"
