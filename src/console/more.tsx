/** The views that come with a script of their own, when the first of them is needed (see later.ts): the page itself is there sooner. */
import { Activity } from "./activity.tsx";
import style from "./later.css";
import { FleetView } from "./fleet.tsx";
import { offer } from "./later.ts";
import { SandboxView } from "./sandbox.tsx";
import { ServerView } from "./server.tsx";
import { ShellLines } from "./shell-lines.tsx";
import { TaskView } from "./task.tsx";
import { TryView } from "./try.tsx";

offer({ Activity, FleetView, SandboxView, ServerView, ShellLines, TaskView, TryView }, style);
