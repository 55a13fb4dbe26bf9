/** The command line of today: nothing of it goes, or is called otherwise, by accident. */
import { expect, test } from "bun:test";
import { written } from "../../src/manual/options.ts";
import { commandsOf } from "../../src/manual/program.ts";
import { SUBCOMMANDS } from "../../src/subcommands.ts";

test("how each subcommand is called, and its options", async () => {
  const all = await commandsOf(SUBCOMMANDS);
  const lines = all.flatMap(({ name, manual: { synopsis, options, exit, examples = [] } }) => [
    ...synopsis.map((how) => `${name} ${how}`.trimEnd()),
    ...Object.entries(options).map(([long, option]) => `  ${written(long, option)}`),
    `  = ${exit}`,
    ...examples.map((line) => `  $ ${line}`),
  ]);
  expect(lines.join("\n")).toMatchInlineSnapshot(`
    "serve --config PATH[:PATH...] [OPTIONS]
      --config PATH[:PATH...]
      --plan FILE
      --early
      --port N
      --host ADDRESS
      --unix PATH
      --unix-mode MODE
      --rpc-server URI
      --ws-server URI
      --rpc-client URI
      --ws-client URI
      --concurrency N
      --history FILE
      --history-max LIMITS
      --access FILE
      --cynagora [SOCKET]
      --fleet FILE
      --audit FILE
      --audit-max SIZE
      --audit-files N
      --metrics-privilege URN
      --origin URL
      --roothttp DIR
      --alias /P:DIR
      --no-console
      --mcp
      --tls-cert FILE
      --tls-key FILE
      --tls-client-ca FILE
      --insecure
      --trust-proxy ADDRESS[/BITS]
      --base /PATH
      --name HOST
      = 0 after SIGTERM or SIGINT, 1 when it cannot start, 2 wrong usage.
    early [--ready-fd N] [OPTIONS OF serve]
      --ready-fd N
      = that of spawnbox serve.
    check [OPTIONS] PATH[:PATH...]
    check [OPTIONS] --plan FILE
      --config PATH[:PATH...]
      --plan FILE
      --access FILE
      --cynagora [SOCKET]
      --audit FILE
      --audit-max SIZE
      --audit-files N
      --history FILE
      --history-max LIMITS
      --fleet FILE
      --tls-cert FILE
      --tls-key FILE
      --tls-client-ca FILE
      --no-try
      --json
      = 0 no problem, 1 problems, 2 wrong usage.
    run [OPTIONS] API/VERB [JSON] --config PATH[:PATH...]
      --config PATH[:PATH...]
      --plan FILE
      --raw
      = 0 success, 1 the config, the reply or the task failed, 2 wrong usage, 130 interrupted.
      $ spawnbox run demo/hello '{"name": "world"}' --config config/demo.json
    explain [--config PATH[:PATH...] | --plan FILE] [--json] [SANDBOX | API/VERB]
      --config PATH[:PATH...]
      --plan FILE
      --json
      = 0, 1 when a config has problems or nothing has that name, 2 wrong usage.
    doctor [--config PATH[:PATH...] | --plan FILE] [--json]
      --config PATH[:PATH...]
      --plan FILE
      --json
      = 0, 1 when a loaded config cannot work here, 2 wrong usage.
    compile PATH[:PATH...] -o FILE [--arch x64|arm64]
      --config PATH[:PATH...]
      -o, --output FILE
      --arch ARCH
      = 0 written, 1 problems, 2 wrong usage.
    call [OPTIONS] API/VERB [JSON]
      --url URL
      --ca FILE
      --cert FILE
      --key FILE
      --token-file FILE
      --token TOKEN
      --raw
      = 0 success; 1 the reply is an error, or the task failed; 2 wrong usage; 3 no connection; 130 interrupted.
      $ spawnbox call simple/ping
      $ spawnbox call simple/hello '{"action":"start","args":{"name":"World"}}'
      $ spawnbox call upload/check < firmware.img
      $ spawnbox call simple/hello '{"action":"subscribe","args":{"pid":4711,"lossless":true}}'
    mcp [--url URL] [--token-file FILE]
    mcp --config PATH[:PATH...] [--audit FILE]
      --config PATH[:PATH...]
      --plan FILE
      --url URL
      --ca FILE
      --cert FILE
      --key FILE
      --token-file FILE
      --token TOKEN
      --audit FILE
      --audit-max SIZE
      --audit-files N
      = 0 once its input ends; 1 the config cannot be served; 2 wrong usage; 3 the server is not there.
      $ spawnbox mcp --url unix:/run/spawnbox.sock
      $ spawnbox mcp --url https://board.local:1234 --token-file ~/.config/board.token
      $ spawnbox mcp --config config/agent.json
    ps [OPTIONS]
      -a, --all
      --json
      -w, --watch
      --limit N
      --url URL
      --ca FILE
      --cert FILE
      --key FILE
      --token-file FILE
      --token TOKEN
      = 0 success; 1 the server refuses to tell; 2 wrong usage; 3 no connection; 130 interrupted.
      $ spawnbox ps
      $ spawnbox ps --all --limit 20
      $ spawnbox ps --watch --json
    watch [OPTIONS] ID
      --from N
      --raw
      --url URL
      --ca FILE
      --cert FILE
      --key FILE
      --token-file FILE
      --token TOKEN
      = 0 the task ended well; 1 it did not, or there is none; 2 wrong usage; 3 no connection; 130 interrupted.
      $ spawnbox watch 1m8j538rr6v0jkc
      $ spawnbox watch 1m8j538rr6v0jkc --from 100
    stop [OPTIONS] ID
      -s, --signal SIGNAL
      --url URL
      --ca FILE
      --cert FILE
      --key FILE
      --token-file FILE
      --token TOKEN
      = 0 it was told; 1 there is none, or the server refuses; 2 wrong usage; 3 no connection.
      $ spawnbox stop 1m8j538rr6v0jkc
      $ spawnbox stop 1m8j538rr6v0jkc --signal SIGHUP
    fleet ls [--group NAME] [OPTIONS]
    fleet call BOARD|@GROUP API/VERB [JSON] [OPTIONS]
    fleet watch [--group NAME] [OPTIONS]
    fleet asyncapi BOARD [OPTIONS]
    fleet cert DIR NAME... [--host NAME]... [--days N]
      --fleet FILE
      --broker URL
      --operator NAME
      --ca FILE
      --cert FILE
      --key FILE
      --group NAME
      --timeout TIME
      --queue TIME
      --stages LIST
      --max-failed N
      --detach
      --token-file FILE
      --token TOKEN
      --host NAME
      --days N
      --json
      = 0 all went well on all boards; 1 not so; 2 wrong usage; 3 no connection to the broker; 130 interrupted.
      $ spawnbox fleet ls
      $ spawnbox fleet call boat-7 lights/on
      $ spawnbox fleet call @all update/check '{"channel":"stable"}' --timeout 5m
      $ spawnbox fleet call @dock update/install --stages 1,10%,100% --max-failed 2%
    install [--early | --initramfs] [--root DIR] [--no-start]
    install --uninstall [--root DIR]
      --early
      --initramfs
      --root DIR
      --no-start
      --uninstall
      = 0, 1 when something could not be done, 2 wrong usage.
    token [--info TEXT] [PRIVILEGE...]
      --info TEXT
      = 0, or 2 for wrong usage.
    cert DIR [--name NAME]... [--days N] [--renew]
    cert DIR --client NAME [--days N] [--renew]
      --name NAME
      --client NAME
      --days N
      --renew
      = 0, 1 when they cannot be made, 2 wrong usage.
      $ spawnbox cert /etc/spawnbox/tls --name 192.168.1.10
      $ spawnbox cert /etc/spawnbox/tls --client tablet
    schema [--access] [--markdown]
      --access
      --markdown
      = 0, or 2 for wrong usage.
    help [SUBJECT | SUBCOMMAND]
      = 0, 2 when there is no such guide.
    completion bash|zsh|fish
      = 0, or 2 for wrong usage.
      $ source <(spawnbox completion bash)
      $ source <(spawnbox completion zsh)
      $ spawnbox completion fish | source"
  `);
});
