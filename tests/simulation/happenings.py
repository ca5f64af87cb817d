"""What can happen in a story, each with its weight. Drawn from the story's own random numbers."""

from __future__ import annotations

from tests.simulation.story import Story

from colonnade.database.state import NodeName

WEIGHTS: dict[str, int] = {
    "write": 25,
    "own write": 5,
    "send": 35,
    "receive": 35,
    "part": 15,
    "answer": 12,
    "finish": 10,
    "reload": 10,
    "settle": 2,
    "tick": 40,
    "kill primary": 2,
    "kill": 2,
    "freeze": 2,
    "thaw": 2,
    "cut": 2,
    "mend": 2,
    "lose": 1,
    "crash": 3,
    "lost reply": 2,
    "late": 3,
    "late promotion": 1,
    "doomed promotion": 2,
    "fail operation": 2,
    "fail start": 2,
    "pause": 2,
    "refuse": 1,
    "disk": 1,
    "gateway": 2,
    "wall": 1,
    "want": 2,
    "switchover": 2,
    "restart": 1,
}


async def happen(story: Story) -> None:
    """One thing, and then the promises."""
    name = story.random.choice(sorted(story.world.nodes))
    weights = {**WEIGHTS, **story.emphasis}
    kind = story.random.choices(list(weights), list(weights.values()))[0]
    if kind == "tick":
        await story.tick()
    elif kind in ("write", "own write", "send", "receive", "part", "answer", "finish", "reload", "settle", "late"):
        _flow(story, name, kind)
    elif kind in ("kill primary", "kill", "freeze", "thaw", "cut", "mend", "lose", "fail operation", "fail start"):
        _break(story, name, kind)
    else:
        _interfere(story, name, kind)
    story.check()


def _flow(story: Story, name: NodeName, kind: str) -> None:
    """The ordinary course of things, in whatever order."""
    if kind == "write":
        story.sessions.write(story.random.randrange(1000))
    elif kind == "own write":
        story.world.write_own(story.gateway.primary if story.gateway.primary in story.world.nodes else name)
    elif kind == "settle":
        story.world.settle()
    elif kind == "late":
        story.world.let_late_happen()
    else:
        story.world.step(name, kind)


def _break(story: Story, name: NodeName, kind: str) -> None:
    world, random = story.world, story.random
    victim = story.gateway.primary if kind == "kill primary" or random.random() < 0.3 else name
    victim = victim if victim in world.nodes else name
    match kind:
        case "kill primary" | "kill":
            world.kill(victim)
        case "freeze":
            world.freeze(victim, is_visible=random.random() < 0.5)
        case "thaw":
            world.thaw(name)
        case "cut":
            others = [other for other in world.nodes if other != victim]
            whom = [victim] if random.random() < 0.7 else list(world.nodes)
            chosen = others if random.random() < 0.6 else [random.choice(others)]
            world.cut |= {(who, to) for who in chosen for to in whom if who != to}
        case "fail operation":
            world.fail_operation(name)
        case "fail start":
            world.failing_starts[victim] = random.randint(1, 4)
        case "mend":
            world.cut.clear()
        case "lose" if story.data_losses_left > 0:
            story.data_losses_left -= 1
            world.lose_data(victim)
        case _:
            return
    story.log.append(f"{kind} {victim}")


def _interfere(story: Story, name: NodeName, kind: str) -> None:
    """With the controller, with what it stands on, or with what it is asked for."""
    random = story.random
    match kind:
        case "crash":
            story.crash_in = random.randrange(8)
            return
        case "lost reply":
            story.fail_in = random.randrange(6)
            return
        case "late promotion":
            story.driver.is_promotion_late = True
        case "doomed promotion":
            story.is_promotion_doomed = True
        case "pause":
            story.clock.advance(random.choice((1.0, 5.0, 30.0)))
        case "refuse":
            story.refusals_left = random.randrange(1, 6)
        case "disk":
            story.low_disk()
        case "gateway":
            mood = random.choice(("well", "refuses", "hangs"))
            if mood == "well":
                story.gateway.recover()
            else:
                story.gateway.mood = mood
            kind = f"gateway {mood}"
        case "wall":
            story.clock.jump_wall(random.choice((-3600.0, 3600.0)))
        case "want":
            standbys = random.randint(1, 4)
            quorum_size = random.randint(1, min(2, standbys))
            story.spec = story.spec.model_copy(update={"standbys": standbys, "quorum_size": quorum_size})
            story.controller.want(story.spec)
            kind = f"want {standbys} standbys, {quorum_size} of them"
        case "switchover":
            story.ask(random.choice((None, name)), restart=False)
        case "restart":
            story.ask(None, restart=True)
        case _:
            raise ValueError(kind)
    story.log.append(f"{kind} {name}")
