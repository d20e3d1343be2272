"""`MemoryWorld`: the vendor itself, with its people and its weather, in place of servers somewhere else.

The first half is what an app may ask of it, with a token in hand. The second half is what people do
there, and what a test can do to it.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from moorage_adapters.memory.chatter import Chatter, Cheer, Remark
from moorage_adapters.memory.letters import BY_HAND, WINDOW, Enclosure, Letter, Mail
from moorage_adapters.memory.news import news_of_letter, news_of_slips, signed
from moorage_adapters.memory.talking import Talking
from moorage_adapters.memory.things import (
    LONGEST_NOTE,
    READ_BOARDS,
    READ_FORMS,
    SEND_LETTERS,
    SEND_NEWS,
    WRITE_NOTES,
    Board,
    Form,
    Note,
    Permit,
    Person,
    Slip,
)
from moorage_adapters.memory.town import ADA as ADA
from moorage_adapters.memory.town import BOOKS as BOOKS
from moorage_adapters.memory.town import CAFE as CAFE
from moorage_adapters.memory.town import NEWSLETTER as NEWSLETTER
from moorage_adapters.memory.town import TOWN_HALL, registered_app
from moorage_adapters.memory.weather import Trouble, TroubleError, Weather
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery, VendorApp

T = TypeVar("T")
_Answers: TypeAlias = Mapping[str, tuple[str, ...]]

CONSENT_PAGE: Final = "https://memory.invalid/consent"
PERMIT_LASTS: Final = timedelta(days=60)
SLIPS_PER_PAGE: Final = 2  # so few that whoever forgets the second page notices


def _this_moment() -> datetime:
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class _Code:
    """One consent, until an app redeems it."""

    app_id: str
    person_id: str
    scopes: frozenset[str]
    redirect_uri: str


@attrs.define(kw_only=True)
class MemoryWorld(Talking):
    """One vendor: a town with three boards, a form, and Ada, who keeps two of the boards."""

    now: Callable[[], datetime] = _this_moment
    app: VendorApp = attrs.field(factory=registered_app)  # the host's operator's
    other_apps: dict[str, VendorApp] = attrs.field(factory=dict)
    weather: Weather = attrs.field(factory=Weather)
    people: dict[str, Person] = attrs.field(factory=lambda: {ADA.id: ADA})
    boards: dict[str, Board] = attrs.field(factory=lambda: {b.id: b for b in (CAFE, BOOKS, TOWN_HALL)})
    forms: dict[str, Form] = attrs.field(factory=lambda: {NEWSLETTER.id: NEWSLETTER})
    notes: dict[str, Note] = attrs.field(factory=dict)
    slips: dict[str, Slip] = attrs.field(factory=dict)
    shredded: dict[str, Slip] = attrs.field(factory=dict)  # counted, and nobody can read them any more
    chatter: Chatter = attrs.field(factory=Chatter)
    mail: Mail = attrs.field(factory=Mail)
    hearing: dict[str, set[str]] = attrs.field(factory=dict)  # by app: boards whose news goes to it
    outbox: list[Delivery] = attrs.field(factory=list)  # deliveries nobody has taken to the host yet
    calls: int = 0
    _codes: dict[str, _Code] = attrs.field(factory=dict, init=False, repr=False)
    _permits: dict[str, Permit] = attrs.field(factory=dict, init=False, repr=False)
    _taken: set[str] = attrs.field(factory=set, init=False)
    _numbers: "count[int]" = attrs.field(factory=lambda: count(1), init=False)

    # What an app may ask ----------------------------------------------------------------------

    def redeem(self, code: str, *, app_id: str, app_secret: Secret, redirect_uri: str) -> str:
        """A person's token for a code; the code is spent with it."""
        self._open()
        consent = self._codes.get(code)
        asked = (app_id, redirect_uri)
        if consent is None or not self._knows(app_id, app_secret):
            raise TroubleError(Trouble.PERMIT_GONE)
        if (consent.app_id, consent.redirect_uri) != asked:
            raise TroubleError(Trouble.PERMIT_GONE)
        del self._codes[code]
        return self._answer(self._issue(app_id, consent.person_id, None, consent.scopes))

    def show_badge(self, app_id: str, app_secret: Secret) -> str:
        """The id of the app that shows its secret."""
        self._open()
        if not self._knows(app_id, app_secret):
            raise TroubleError(Trouble.NOT_WANTED)
        return self._answer(app_id)

    def permit(self, token: Secret) -> Permit:
        """What a token stands for today."""
        return self._answer(self._admit(token))

    def person(self, token: Secret) -> Person:
        """Who the token's person is."""
        return self._answer(self.people[self._admit(token).person_id])

    def boards_of(self, token: Secret) -> tuple[Board, ...]:
        """Every board that the person can see."""
        self._admit(token, READ_BOARDS)
        return self._answer(tuple(self.boards.values()))

    def board_token(self, token: Secret, board_id: str) -> str:
        """A token to act as that board, for those who keep it."""
        permit = self._admit(token, READ_BOARDS)
        if permit.person_id not in self._find(self.boards, board_id).keepers:
            raise TroubleError(Trouble.NOT_ALLOWED)
        return self._answer(self._issue(permit.app_id, permit.person_id, board_id, permit.scopes))

    def withdraw(self, token: Secret) -> None:
        """End the person's permit, and with it the tokens of their boards."""
        permit = self._admit(token)
        ended = (permit.app_id, permit.person_id)
        self._permits = {
            key: held for key, held in self._permits.items() if (held.app_id, held.person_id) != ended
        }
        self._answer(None)

    def pin(
        self, token: Secret, board_id: str, *, text: str, link: str | None, images: Sequence[str]
    ) -> Note:
        """Hang a note on a board."""
        self._admit(token, WRITE_NOTES, board_id)
        if self.weather.refuses_notes or len(text) > LONGEST_NOTE:
            raise TroubleError(Trouble.NOT_WANTED)
        note = Note(
            id=self._number("note"),
            board_id=board_id,
            text=text,
            link=link,
            images=tuple(images),
            pinned_at=self.now(),
        )
        self.notes[note.id] = note
        return self._answer(note)

    def notes_on(self, token: Secret, board_id: str) -> tuple[Note, ...]:
        """What hangs on a board, newest first."""
        self._admit(token, READ_BOARDS, board_id)
        return self._answer(tuple(n for n in reversed(self.notes.values()) if n.board_id == board_id))

    def unpin(self, token: Secret, board_id: str, note_id: str) -> None:
        """Take a note down."""
        self._admit(token, WRITE_NOTES, board_id)
        if self._find(self.notes, note_id).board_id != board_id:
            raise TroubleError(Trouble.NO_SUCH_THING)
        del self.notes[note_id]
        self._answer(None)

    def chatter_on(
        self, token: Secret, board_id: str, start: int
    ) -> tuple[tuple[Remark | Cheer, ...], int, bool]:
        """A page of what people said and cheered below a board's notes; see `Chatter.page`."""
        self._admit(token, READ_BOARDS, board_id)
        return self._answer(self.chatter.page(board_id, start))

    def answer_remark(self, token: Secret, board_id: str, remark_id: str, text: str) -> Remark:
        """Answer a remark, as the board."""
        self._admit(token, WRITE_NOTES, board_id)
        answered = self._remark_on(board_id, remark_id)
        return self._answer(self.say(answered.note_id, text, by=None, answers=remark_id))

    def cover_remark(self, token: Secret, board_id: str, remark_id: str, *, is_covered: bool) -> None:
        """Cover a remark, so that others do not see it, or uncover it."""
        self._admit(token, WRITE_NOTES, board_id)
        self.cover(self._remark_on(board_id, remark_id).id, is_covered=is_covered)
        self._answer(None)

    def write_letter(
        self,
        token: Secret,
        board_id: str,
        person_id: str,
        *,
        text: str,
        enclosure: Enclosure | None = None,
        answers: str = "",
        mark: str = "",
        is_by_hand: bool = False,
    ) -> Letter:
        """Write to somebody as the board, as long as it may."""
        self._admit(token, SEND_LETTERS, board_id)
        last = self.mail.last_to(board_id, person_id)
        is_closed = last is None or self.now() >= last + (BY_HAND if is_by_hand else WINDOW)
        if is_closed or self.weather.refuses_notes:
            raise TroubleError(Trouble.NOT_WANTED)
        person = self._find(self.people, person_id)
        sent = self._post(board_id, person, text=text, enclosure=enclosure, answers=answers, mark=mark)
        return self._answer(sent)

    def answer_by_letter(
        self, token: Secret, board_id: str, remark_id: str, text: str, *, mark: str = ""
    ) -> Letter:
        """Answer a remark by a letter to whoever made it; once."""
        self._admit(token, SEND_LETTERS, board_id)
        remark = self._remark_on(board_id, remark_id)
        if remark.by is None or remark_id in self.mail.answered or self.now() >= remark.made_at + BY_HAND:
            raise TroubleError(Trouble.NOT_WANTED)
        self.mail.answered.add(remark_id)
        return self._answer(self._post(board_id, remark.by, text=text, mark=mark))

    def writer_to(self, token: Secret, board_id: str, person_id: str) -> Person:
        """Who somebody is that wrote to a board."""
        self._admit(token, SEND_LETTERS, board_id)
        person = self.mail.writer(board_id, person_id)
        if person is None:
            raise TroubleError(Trouble.NO_SUCH_THING)
        return self._answer(person)

    def forms_on(self, token: Secret, board_id: str) -> tuple[tuple[Form, int, int], ...]:
        """The forms of a board, how often each was filled in, and how many of its slips are shredded."""
        self._admit(token, READ_FORMS, board_id)
        forms = [form for form in self.forms.values() if form.board_id == board_id]
        shredded = Counter(slip.form_id for slip in self.shredded.values())
        filled_in = Counter(slip.form_id for slip in self.slips.values()) + shredded
        return self._answer(tuple((form, filled_in[form.id], shredded[form.id]) for form in forms))

    def slip(self, token: Secret, board_id: str, slip_id: str) -> Slip:
        """One filled-in form."""
        self._admit(token, READ_FORMS, board_id)
        slip = self._find(self.slips, slip_id)
        if slip.board_id != board_id:
            raise TroubleError(Trouble.NO_SUCH_THING)
        return self._answer(slip)

    def slips_since(
        self, token: Secret, board_id: str, form_id: str, since: datetime, until: datetime | None, start: int
    ) -> tuple[tuple[Slip, ...], int | None]:
        """A page of filled-in forms, oldest first, and where the next page starts."""
        self._admit(token, READ_FORMS, board_id)
        self._form(board_id, form_id)
        slips = (slip for slip in self.slips.values() if slip.form_id == form_id)
        late = [slip for slip in slips if slip.handed_in_at >= since]
        fitting = [slip for slip in late if until is None or slip.handed_in_at < until]
        end = start + SLIPS_PER_PAGE
        return self._answer((tuple(fitting[start:end]), end if end < len(fitting) else None))

    def try_form(self, token: Secret, board_id: str, form_id: str, answers: _Answers) -> Slip:
        """Hand in a form that is nobody's; a form has one such slip, so an older one goes."""
        self._admit(token, READ_FORMS, board_id)
        form = self._form(board_id, form_id)
        if not answers.keys() <= form.asks.keys():
            raise TroubleError(Trouble.NOT_WANTED)
        older = [slip.id for slip in self.slips.values() if slip.form_id == form_id and slip.is_trial]
        for slip_id in older:
            del self.slips[slip_id]
        dummies = {key: (f"trial of {key}",) for key in form.asks}
        return self._answer(self.fill_in(form_id, {**dummies, **answers}, is_trial=True))

    def send_news(self, token: Secret, board_id: str, *, wanted: bool) -> None:
        """Send the board's news to the app from now on, or stop it."""
        boards = self.boards_heard_by(self._admit(token, SEND_NEWS, board_id).app_id)
        (boards.add if wanted else boards.discard)(board_id)
        self._answer(None)

    def sends_news(self, token: Secret, board_id: str) -> bool:
        """Whether the board's news goes to the app."""
        permit = self._admit(token, SEND_NEWS, board_id)
        return self._answer(board_id in self.boards_heard_by(permit.app_id))

    # What the apps' developers do there ---------------------------------------------------------

    @property
    def sending(self) -> set[str]:
        """The boards whose news goes to the operator's app."""
        return self.boards_heard_by(self.app.app_id)

    def boards_heard_by(self, app_id: str) -> set[str]:
        """The boards whose news goes to this app."""
        return self.hearing.setdefault(app_id, set())

    def register_app(self, app_id: str) -> VendorApp:
        """Register another app."""
        self.other_apps[app_id] = registered_app(app_id)
        return self.other_apps[app_id]

    def renew_secret(self, app_id: str) -> VendorApp:
        """Give an app a new secret; the old one proves nothing any more."""
        fresh = attrs.evolve(self._apps()[app_id], secrets=(Secret(secrets.token_urlsafe(32)),))
        if app_id == self.app.app_id:
            self.app = fresh
        else:
            self.other_apps[app_id] = fresh
        return fresh

    # What people do there ---------------------------------------------------------------------

    def consent(self, auth_url: str, *, scopes: Sequence[str] | None = None, person: Person = ADA) -> str:
        """Say yes on the consent page (to `scopes` only, when given); answers where the browser goes next."""
        asked = _query(auth_url)
        code = secrets.token_urlsafe(16)
        allowed = frozenset(asked["scopes"].split()).intersection(
            asked["scopes"].split() if scopes is None else scopes
        )
        self._codes[code] = _Code(
            app_id=asked["app_id"], person_id=person.id, scopes=allowed, redirect_uri=asked["redirect_uri"]
        )
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def refuse(self, auth_url: str) -> str:
        """Say no on the consent page; answers where the browser goes next."""
        asked = _query(auth_url)
        return f"{asked['redirect_uri']}?{urlencode({'error': 'said_no', 'state': asked['state']})}"

    def write_to(self, board_id: str, text: str, *, by: Person = ADA) -> Letter:
        """Write to a board."""
        return self._post(board_id, by, text=text, is_from_board=False)

    def fill_in(self, form_id: str, answers: _Answers, *, is_trial: bool = False) -> Slip:
        """Hand in a form; for each app that hears the board a signed delivery lies in the outbox."""
        form = self.forms[form_id]
        slip = Slip(
            id=self._number("slip"),
            form_id=form_id,
            board_id=form.board_id,
            answers=answers,
            handed_in_at=self.now(),
            agreed=dict.fromkeys(form.pledges, True),
            is_trial=is_trial,
        )
        self.slips[slip.id] = slip
        self._tell(form.board_id, news_of_slips([slip]))
        return slip

    def shred(self, slip_id: str) -> None:
        """A slip is too old to be kept: it still counts, and nobody can read it."""
        self.shredded[slip_id] = self.slips.pop(slip_id)

    def delivery_of(self, *slips: Slip, app: VendorApp | None = None) -> Delivery:
        """One delivery to an app (by default the operator's) that tells of all these slips."""
        return signed(news_of_slips(slips), (app or self.app).secret)

    # Weather ----------------------------------------------------------------------------------

    def revoke_grant(self) -> None:
        """Every person removes the app: all tokens end."""
        self._permits.clear()

    def take_board(self, board_id: str) -> None:
        """This board's tokens end; those of the person and of other boards do not."""
        self._taken.add(board_id)

    def drop_scope(self, *scopes: str) -> None:
        """The permits stand, but no longer cover `scopes`."""
        self._permits = {
            token: attrs.evolve(permit, scopes=permit.scopes - set(scopes))
            for token, permit in self._permits.items()
        }

    def restore_scope(self, *scopes: str) -> None:
        """Somebody allows `scopes` at the vendor: the permits that stand cover them from now on."""
        self._permits = {
            token: attrs.evolve(permit, scopes=permit.scopes | set(scopes))
            for token, permit in self._permits.items()
        }

    def drop_answers(self) -> None:
        """Do what is asked, but let every answer get lost."""
        self.weather.loses_answers = True

    def limit(self, wait: timedelta) -> None:
        """Turn every call away, asking to come back after `wait`."""
        self.weather.wait = wait

    def go_down(self) -> None:
        """Be out of reach."""
        self.weather.is_closed = True

    def refuse_notes(self) -> None:
        """Want no note, whatever it says."""
        self.weather.refuses_notes = True

    def clear_up(self) -> None:
        """Fine weather again. What was revoked or dropped stays so."""
        self.weather = Weather()

    # Inside -----------------------------------------------------------------------------------

    def _post(
        self,
        board_id: str,
        person: Person,
        *,
        text: str,
        enclosure: Enclosure | None = None,
        answers: str = "",
        mark: str = "",
        is_from_board: bool = True,
    ) -> Letter:
        letter = Letter(
            id=self._number("letter"),
            board_id=board_id,
            person=person,
            is_from_board=is_from_board,
            text=text,
            enclosure=enclosure,
            answers=answers,
            mark=mark,
            written_at=self.now(),
        )
        self.mail.letters[letter.id] = letter
        self._tell(board_id, news_of_letter(self.mail.as_told(letter)))
        return letter

    def _tell(self, board_id: str, news: bytes) -> None:
        """Put a signed delivery into the outbox for each app that hears the board."""
        for app_id, app in self._apps().items():
            if board_id in self.boards_heard_by(app_id):
                self.outbox.append(signed(news, app.secret))

    def _apps(self) -> dict[str, VendorApp]:
        return {self.app.app_id: self.app, **self.other_apps}

    def _knows(self, app_id: str, app_secret: Secret) -> bool:
        app = self._apps().get(app_id)
        return app is not None and app.secret == app_secret

    def _open(self) -> None:
        self.calls += 1
        if self.weather.is_closed:
            raise TroubleError(Trouble.CLOSED)
        if self.weather.wait is not None:
            raise TroubleError(Trouble.TOO_MUCH, wait=self.weather.wait)

    def _admit(self, token: Secret, scope: str | None = None, board_id: str | None = None) -> Permit:
        self._open()
        permit = self._permits.get(token.reveal())
        if permit is None or permit.expires_at <= self.now():
            raise TroubleError(Trouble.PERMIT_GONE)
        if permit.board_id in self._taken:
            raise TroubleError(Trouble.BOARD_TAKEN)
        if (scope and scope not in permit.scopes) or (board_id and permit.board_id != board_id):
            raise TroubleError(Trouble.NOT_ALLOWED)
        return permit

    def _answer(self, answer: T) -> T:
        if self.weather.loses_answers:
            raise TroubleError(Trouble.SILENCE)
        return answer

    def _issue(self, app_id: str, person_id: str, board_id: str | None, scopes: frozenset[str]) -> str:
        token = secrets.token_urlsafe(24)
        self._permits[token] = Permit(
            app_id=app_id,
            person_id=person_id,
            board_id=board_id,
            scopes=scopes,
            expires_at=self.now() + PERMIT_LASTS,
        )
        return token

    def _number(self, kind: str) -> str:
        return f"{kind}-{next(self._numbers)}"

    def _remark_on(self, board_id: str, remark_id: str) -> Remark:
        remark = self._find(self.chatter.remarks, remark_id)
        if remark.board_id != board_id:
            raise TroubleError(Trouble.NO_SUCH_THING)
        return remark

    def _form(self, board_id: str, form_id: str) -> Form:
        form = self._find(self.forms, form_id)
        if form.board_id != board_id:
            raise TroubleError(Trouble.NO_SUCH_THING)
        return form

    @staticmethod
    def _find(things: Mapping[str, T], key: str) -> T:
        thing = things.get(key)
        if thing is None:
            raise TroubleError(Trouble.NO_SUCH_THING)
        return thing


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
