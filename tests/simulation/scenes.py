"""How a story may begin: rare situations, set up step by step, from which the seed goes on.

Chance alone comes upon these too seldom to notice that a rule is missing. A scene that does not come about (the world
moved otherwise) is no violation: the story goes on from where it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from tests.simulation.story import Story

from colonnade.database.state import NodeName

PATIENCE_TICKS = 60
"""3 s of the story's time."""

Scene = Callable[[Story], Awaitable[None]]


async def until(story: Story, is_so: Callable[[], bool], flowing: Iterable[NodeName] = ()) -> None:
    for _ in range(PATIENCE_TICKS):
        if is_so():
            return
        await story.tick()
        flow(story, flowing)


def flow(story: Story, names: Iterable[NodeName], kinds: Iterable[str] = ("answer", "part", "send", "receive")) -> None:
    for _ in range(12):
        for name in names:
            for kind in kinds:
                story.world.step(name, kind)


def write(story: Story, count: int) -> None:
    for choice in range(count):
        story.sessions.write(3 * choice)


def cut(story: Story, standby: NodeName, source: NodeName) -> None:
    story.world.cut.add((standby, source))


async def one_is_ahead_and_was_not_seen(story: Story) -> None:
    """A standby has more than the elected one, on the old timeline, and comes back when the new primary dies."""
    world, old = story.world, story.gateway.primary or "a"
    ahead, *others = sorted(world.nodes.keys() - {old}, reverse=True)
    for name in others:
        cut(story, name, old)
    write(story, 4)
    flow(story, [ahead])
    world.freeze(ahead)
    world.cut.clear()
    world.kill(old)
    everybody = [old, *others]
    await until(story, lambda: story.gateway.primary not in (None, old), everybody)
    for _ in range(12):
        await story.tick()
        flow(story, everybody, ("answer", "finish", "part", "reload", "send", "receive"))
    write(story, 1)
    flow(story, everybody)
    world.thaw(ahead)
    world.kill(story.gateway.primary or old)


async def only_a_copy_in_the_making_is_connected(story: Story) -> None:
    world, old = story.world, story.gateway.primary or "a"
    others = sorted(world.nodes.keys() - {old})
    world.kill(old)
    await until(story, lambda: world.nodes[old].operation == "rewind", others)
    world.fail_operation(old)
    await until(story, lambda: world.nodes[old].operation == "clone", others)
    new = story.gateway.primary or others[0]
    for name in others:
        cut(story, name, new)
    write(story, 3)
    world.fail_operation(old)
    world.kill(new)


async def more_are_wanted_while_one_is_cut_off(story: Story) -> None:
    """A COMMIT is to wait for one more, and the connections that are there still go by the old number."""
    world, primary = story.world, story.gateway.primary or "a"
    first, *others = sorted(world.nodes.keys() - {primary})
    more = min(story.spec.quorum_size + 1, story.spec.standbys)
    story.spec = story.spec.model_copy(update={"quorum_size": more})
    story.controller.want(story.spec)
    await until(story, lambda: world.nodes[primary].quorum.acknowledgements == more, [first, *others])
    for _ in range(3):
        await story.tick()
    for name in others:
        cut(story, name, primary)
    write(story, 2)
    flow(story, [first])
    world.kill(primary)
    world.kill(first)


async def two_are_promoted_on_the_same_timeline(story: Story) -> None:
    """The elected one dies at once and does not start again; after another's promotion it comes back."""
    world, old = story.world, story.gateway.primary or "a"
    others = sorted(world.nodes.keys() - {old})
    story.is_promotion_doomed = True
    world.kill(old)
    await until(story, lambda: not story.is_promotion_doomed, others)
    doomed = max(others, key=lambda name: world.nodes[name].timeline)
    world.failing_starts[doomed] = 4
    rest = [name for name in world.nodes if name != doomed]
    await until(story, lambda: story.gateway.primary is not None, world.nodes)
    world.failing_starts.clear()
    write(story, 6)
    flow(story, rest)
    await story.replace_controller()
    everybody = list(world.nodes)
    for _ in range(12):
        await story.tick()
        flow(story, everybody, ("answer", "finish", "part", "reload", "send", "receive"))
    new = story.gateway.primary or old
    for name in rest:
        cut(story, name, new)
    write(story, 2)
    flow(story, [doomed])
    world.kill(new)


SCENES: tuple[Scene, ...] = (
    one_is_ahead_and_was_not_seen,
    only_a_copy_in_the_making_is_connected,
    more_are_wanted_while_one_is_cut_off,
    two_are_promoted_on_the_same_timeline,
)
