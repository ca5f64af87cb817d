"""Episodes in sentences for people: what caused it, what was done, how it ended, with the numbers. Pure.

Sentences are made of recorded messages. What no event says is called unknown, never guessed; a guess that helps is in
the hint, and says that it is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from colonnade.core.events import Event
from colonnade.system.episodes import REPLICA, Episode, Role, role_of

CAUSES_TOLD_MAX = 4
"""Of one episode; a crash loop has hundreds, and its first and last ones say it all."""

LAST_WORDS_CHARS_MAX = 200

CHECKS: Mapping[str, str] = {
    "L4CON": "its port refused the connection",
    "L4TOUT": "its port did not take the connection in time",
    "L7TOUT": "it did not answer the health check in time",
    "L7STS": "it answered the health check with a wrong status",
    "L7RSP": "it answered the health check with something that is not HTTP",
}
"""HAProxy's words for a check that failed."""

PHRASES: Mapping[tuple[str, str], str] = {
    ("replica_killed", "stuck"): "{message}, so it was killed",
    ("replica_killed", "start_timeout"): "{message}, so it was killed",
    ("service_scaled", "asked"): "asked for by `colonnade scale`: {message}",
    ("controller_started", "starting"): "the system was started: {message}",
    ("controller_started", "adopting"): "the controller was started anew and took over what ran: {message}",
    ("system_stopping", "phase_changed"): "the system was taken down: {message}",
    ("database_assessed", "switchover_closes_endpoint"): "a switchover was asked for: {message}",
}
"""By kind and reason, where the message alone does not say what was done. All others tell their message."""

HINTS: Mapping[str, str] = {
    "replica_exited": "`colonnade logs {subject}` has all that it said",
    "replica_crash_looping": "`colonnade logs {subject}` has all that it said; once mended it starts by itself",
    "replica_killed": "`colonnade logs {subject}` shows what it did last; often it is a lock, or a blocked event loop",
    "replica_unreached": "what stands between the gateway and its port? `colonnade logs gateway` has what it saw",
    "replica_sick": "`colonnade logs {subject}` shows what it did last",
    "replica_expected_to_fail": "`colonnade logs {subject}`; memory that only grows is usually a cache without a bound",
    "rollout_undone": "`colonnade logs {subject}`, correct it, then `colonnade deploy` again",
    "gateway_exited": "`colonnade logs gateway`",
    "failover_finished": "`colonnade db status` has the phases of the last failover",
}
"""The next thing to look at or to type, by the kind of a cause or an end."""

EXCEPTION = re.compile(r"\s*(?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|Warning|DoesNotExist|NotFound)\b.*")
SIGNAL = re.compile(r"was ended by signal (\d+)")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer. `events` are the numbers of the events that it rests on."""

    text: str
    at_s: float | None = None
    """When it happened (wall time); None for what is so now."""
    reason: str = ""
    """Stable, for programs: the reason of the first event, or what was found."""
    hint: str = ""
    events: tuple[int, ...] = ()


def sentences_of(episodes: Sequence[Episode]) -> list[Sentence]:
    """Newest first. Replicas that came or went because of one request are told together with it."""
    groups: dict[int, list[Episode]] = {}
    for episode in episodes:
        if episode.trigger is not None:
            groups.setdefault(episode.trigger.seq, []).append(episode)
    told = []
    for episode in episodes:
        if episode.trigger is None:
            told.append(_tell(episode, groups.pop(episode.events[0].seq, [])))
    told += [_tell_trigger(group) for group in groups.values()]
    return sorted(told, key=lambda sentence: sentence.events[0], reverse=True)


def _tell(episode: Episode, consequences: Sequence[Episode]) -> Sentence:
    causes = [event for event in episode.causes if not _is_implied(event, episode)]
    is_database = episode.subject == "database"
    if is_database:
        parts = _database_parts(episode)
    else:
        parts = [*_few([_phrase(event) for event in causes or episode.events[:1]]), *_unknowns(episode)]
        parts += _outcome(episode)
    parts += _consequences(episode.began_at_s, consequences)
    first = causes[0] if causes else episode.events[0]
    return Sentence(
        _joined(episode.subject, parts),
        episode.began_at_s,
        first.reason,
        _hint(episode),
        tuple(event.seq for one in (episode, *consequences) for event in one.events),
    )


def _tell_trigger(group: Sequence[Episode]) -> Sentence:
    """For when the question is about those replicas only, and not about what was asked for."""
    trigger = group[0].trigger
    assert trigger is not None
    parts = [_phrase(trigger), *_consequences(trigger.at_s, group)]
    seqs = (trigger.seq, *(event.seq for episode in group for event in episode.events))
    return Sentence(_joined("", parts), trigger.at_s, trigger.reason, HINTS.get(trigger.kind, ""), seqs)


def _is_implied(event: Event, episode: Episode) -> bool:
    """An end by the signal that we sent, and a drain: what comes before or after says it."""
    killed = episode.last("replica_killed")
    return event.kind == "replica_exited" and killed is not None and killed.seq < event.seq


def _phrase(event: Event) -> str:
    if event.kind == "gateway_server_down":
        subject, _, status = event.message.partition(" is out of rotation: ")
        how = CHECKS.get(status, f"its health check failed ({status})")
        return f"{subject} was taken out of rotation by the gateway, since {how}"
    words = PHRASES.get((event.kind, event.reason), "{message}").format(message=event.message)
    if event.kind in ("replica_exited", "replica_crash_looping") and (last := last_words(event)):
        words += f' (its last words: "{last}")'
    if event.subject.startswith("database/") and not event.message.startswith(_node(event)):
        words = f"{_node(event)}: {words}"
    return words


def last_words(event: Event) -> str:
    """The line of its log that says most about an end: the exception, if there is one, else the last line."""
    if SIGNAL.search(event.message):
        return ""  # it was not asked
    tail = event.data.get("log_tail")
    lines = [str(line).strip() for line in tail if str(line).strip()] if isinstance(tail, list) else []
    exceptions = [line for line in lines if EXCEPTION.fullmatch(line)]
    return (exceptions or lines or [""])[-1][:LAST_WORDS_CHARS_MAX]


def _few(parts: Sequence[str]) -> list[str]:
    if len(parts) <= CAUSES_TOLD_MAX:
        return list(parts)
    return [parts[0], f"{len(parts) - 2} more of that", parts[-1]]


def _unknowns(episode: Episode) -> list[str]:
    """What the records do not say and the reader would want to know."""
    exited = episode.last("replica_exited") or episode.last("replica_crash_looping")
    if exited is None or _is_implied(exited, episode):
        return []
    if SIGNAL.search(exited.message):
        return ["Colonnade did not send that signal, and who did is not recorded"]
    if exited.message.startswith(f"{episode.subject} ended;"):
        return ["with which code is not recorded: the controller that had started it was gone"]
    return []


def _outcome(episode: Episode) -> list[str]:
    end = episode.events[-1]
    took = duration(end.at_s - episode.began_at_s)
    is_only_end = len(episode.events) == 1
    if episode.is_cut:
        return ["the system went down before that was over"]
    if not episode.is_over:
        if REPLICA.fullmatch(episode.subject) is None:
            return [end.message if role_of(end) is Role.STEP else "it is not over"]
        stopping = episode.last("replica_draining") or episode.last("replica_stopping")
        return ["it is not gone yet" if stopping else "it has not been ready since"]
    if is_only_end or role_of(end) is not Role.END:
        return []
    if end.kind == "replica_ready":
        has_failed = any(event.kind == "replica_exited" for event in episode.events)
        return [f"it was ready {'again ' if has_failed else ''}{took} later"]
    if end.kind == "replica_stopped":
        return [f"it had stopped {took} later"]
    if end.kind == "gateway_server_up":
        ready = episode.last("replica_ready")
        return [f"it was in rotation again {took} later"] if ready is None else _outcome_before(episode)
    return [f"{took} later: {end.message}"]


def _outcome_before(episode: Episode) -> list[str]:
    """The outcome without the last event, which only repeats it."""
    return _outcome(Episode(episode.subject, episode.events[:-1], is_over=True))


def _database_parts(episode: Episode) -> list[str]:
    """Cause, who took over and why, when writers had it again, and the end."""
    began = episode.began_at_s
    causes = episode.causes
    # A switchover gives the primary up itself: that it does not run afterwards is no other cause.
    is_planned = bool(causes) and causes[0].reason == "switchover_closes_endpoint"
    told = causes[:1] if is_planned else causes or episode.events[:1]
    # That the process ended is noticed by the same look as decides about it, and told after it.
    parts = _few([_phrase(event) for event in sorted(told, key=lambda event: event.kind != "node_exited")])
    promoted = episode.last("node_promoted")
    if promoted is not None:
        parts.append(f"{_node(promoted)} was promoted {duration(promoted.at_s - began)} later: {promoted.message}")
        opened = [
            event
            for event in episode.events
            if event.kind == "routes_published" and event.seq > promoted.seq and event.message.startswith("writers to")
        ]
        if opened:
            parts.append(f"writers had a primary again {duration(opened[0].at_s - began)} after it began")
    end = episode.events[-1]
    if episode.is_cut:
        parts.append("the system went down before that was over")
    elif not episode.is_over:
        parts.append(f"it is not over: {end.message}" if end.message not in parts else "it is not over")
    elif len(episode.events) > 1:
        parts.append(f"{duration(end.at_s - began)} after it began all was well: {end.message}")
    return parts


def _node(event: Event) -> str:
    return event.subject.rpartition("/")[2]


def _consequences(since_s: float, episodes: Sequence[Episode]) -> list[str]:
    """Who came, who went, and who is still on the way."""
    ends: dict[str, list[Episode]] = {}
    for episode in episodes:
        ends.setdefault(episode.events[-1].kind if episode.is_over else "", []).append(episode)
    parts = []
    for kind, what in (("replica_ready", "ready"), ("replica_stopped", "gone"), ("", "on the way still")):
        theirs = ends.pop(kind, [])
        if theirs:
            after = f" {duration(max(each.events[-1].at_s for each in theirs) - since_s)} later" if kind else ""
            parts.append(f"{listed(each.subject for each in theirs)} {_were(theirs, is_past=bool(kind))} {what}{after}")
    return [*parts, *(each.events[-1].message for theirs in ends.values() for each in theirs)]


def _were(episodes: Sequence[Episode], *, is_past: bool) -> str:
    many = len(episodes) > 1
    return ("were" if many else "was") if is_past else ("are" if many else "is")


def _joined(subject: str, parts: Iterable[str]) -> str:
    """One sentence; the subject is named once."""
    text = ""
    for part in parts:
        if text and subject and REPLICA.fullmatch(subject) and part.startswith(f"{subject} "):
            part = f"it {part.removeprefix(f'{subject} ')}"
        text += f"; {part}" if text else part
    return text


def _hint(episode: Episode) -> str:
    given = [event.data["hint"] for event in episode.causes if event.data.get("hint")]
    if given:
        return str(given[-1])
    exited = episode.last("replica_exited")
    signal = SIGNAL.search(exited.message) if exited is not None and not _is_implied(exited, episode) else None
    if signal is not None and signal[1] == "9":
        return "when nobody sent it by hand, the kernel's out-of-memory killer is a usual sender: see `dmesg`"
    for event in reversed(episode.events):
        if event.kind in HINTS and not _is_implied(event, episode):
            return HINTS[event.kind].format(subject=episode.subject)
    return ""


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min`, `5 h`, `2 days`: two figures are enough for a sentence."""
    for limit_s, unit_s, unit, digits in (
        (9.95, 1, "s", 2),
        (99.5, 1, "s", 0),
        (5400, 60, "min", 0),
        (172_800, 3600, "h", 0),
    ):
        if seconds < limit_s:
            return f"{max(0.0, seconds) / unit_s:.{digits}f} {unit}"
    return f"{seconds / 86_400:.0f} days"
