/** The buttons of a recording that is played: pause or play, step, the speed; and the recorded time. */

import { byId, Choice, setText } from "../dom";
import { moment } from "../format";
import { speedsWith, speedText, type Player, type Speed } from "../replay";
import type { State } from "../state";

const bar = byId("replay");
const toggle = byId<HTMLButtonElement>("replay-toggle");
const step = byId<HTMLButtonElement>("replay-step");
const position = byId("replay-position");
const speeds = new Choice<Speed>(byId("replay-speeds"), speedText);

export class ReplayPanel {
  constructor(private readonly state: State, private readonly player: Player) {
    toggle.onclick = () => void player.tell({ action: this.state.replay?.paused ? "resume" : "pause" });
    step.onclick = () => void player.tell({ action: "step", n: 1 });
  }

  render(): void {
    const replay = this.state.replay;
    bar.hidden = !replay;
    if (!replay) return;
    setText(toggle, replay.paused ? "▶ play" : "❚❚ pause");
    toggle.disabled = step.disabled = replay.ended;
    speeds.render(speedsWith(replay.speed), replay.speed, (speed) => void this.player.tell({ action: "speed", speed }));
    const at = replay.position_ns === null ? "" : moment(replay.position_ns);
    setText(position, replay.ended ? `${at} ended` : at);
  }
}
