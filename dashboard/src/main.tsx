import { render } from "preact";
import { whoami } from "./api.ts";
import { App } from "./app.tsx";
import "./style.css";

void whoami();
render(<App />, document.getElementById("app")!);
