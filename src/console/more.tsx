/** The views that most visitors do not open: a script of its own, which comes when one of them does (see later.ts). */
import { Activity } from "./activity.tsx";
import { Denied } from "./denied.tsx";
import { SandboxView } from "./sandbox.tsx";
import { ServerView } from "./server.tsx";
import { ShellLines } from "./shell-lines.tsx";
import { TryView } from "./try.tsx";
import { Values } from "./values.tsx";
import { offer } from "./later.ts";

offer({ Activity, Denied, SandboxView, ServerView, ShellLines, TryView, Values });
