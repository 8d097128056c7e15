"""institution: who may send. A user of the broker, its rights and queues, and the registration that they belong to."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import httpx
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic_core import from_json

from cli.environment import NotReachable, environment, state_directory
from cli.options import AsJson, Lang
from cli.speech import NO_ANSWER, REJECTED, USAGE, console, errors, print_json, speech
from cli.stack import make_token
from deploy.devstack.keys import write_private
from deploy.devstack.plan import certificates_of
from shared.domain.enrolment import InstitutionKind, InstitutionStatus
from shared.domain.roles import Role
from shared.messages.signing import KEYS, EdwardsKey, Sm2Key, public_key, sign
from shared.rabbit.access import Access
from shared.rabbit.connection import hosts
from shared.rabbit.management import Management, ManagementRefused, vhost_of

app = typer.Typer(help="Institutions and their users at the broker.", no_args_is_help=True)

MANAGEMENT = "GONGJI_RABBITMQ_MANAGEMENT_URL"


@dataclass(frozen=True, slots=True)
class Login:
    """How an institution reaches the broker; without a URL where it was let in before, and its password left alone.

    Without a password but with a URL it comes with a certificate.
    """

    access: Access
    password: str | None
    amqp_url: str | None

    def told(self) -> dict[str, Any]:
        return {
            "institution_id": self.access.institution_id,
            "amqp_user": self.access.user,
            "password": self.password,
            "amqp_url": self.amqp_url,
            "reply_queue": self.access.reply_queue,
            "results_queue": self.access.results_queue,
        }


@dataclass(frozen=True, slots=True)
class SendsAs:
    """Over which URL a request goes, the user to name in it if the broker knows the sender by name, and the key file to sign it with."""

    amqp_url: str
    user_id: str | None = None
    signing_key_file: Path | None = None

    def sign(self, operation: str, body: bytes) -> str | None:
        """The detached signature, where there is a key. Raises NotReachable where its file holds none."""
        if self.signing_key_file is None:
            return None
        try:
            private = load_pem_private_key(self.signing_key_file.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise NotReachable(f"GONGJI_SIGNING_KEY_FILE {self.signing_key_file}: {error}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise NotReachable(f"GONGJI_SIGNING_KEY_FILE {self.signing_key_file}: it is not an Ed25519 key")
        return sign(private, self.signing_key_file.stem, operation, body)


def sends_as(institution_id: str) -> SendsAs:
    """As the institution's own user, if it was let in on this machine; else as whoever the environment names."""
    known = environment()
    key = known.get("GONGJI_SIGNING_KEY_FILE")
    signing_key_file = Path(key) if key else None
    try:
        own = _url_file(institution_id).read_text(encoding="utf-8")
    except FileNotFoundError:
        return SendsAs(known["GONGJI_AMQP_URL"], signing_key_file=signing_key_file)
    return SendsAs(own, unquote(urlsplit(own).username or ""), signing_key_file)


def _url_file(institution_id: str) -> Path:
    return state_directory() / "institutions" / institution_id


@app.command()
def add(
    institution: Annotated[str, typer.Argument(metavar="ID", help="The institution's id.")],
    kind: Annotated[InstitutionKind, typer.Option(help="What it is: that decides which requests it may send.")],
    region: Annotated[str, typer.Option("--region", "-r", help="Six digits: where it is.")],
    name: Annotated[str | None, typer.Option(help="Its name; else it stays, a new one is called by its id.")] = None,
    status: Annotated[
        InstitutionStatus | None, typer.Option(help="Whether it may send; else it stays, a new one is active.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Its user at the broker; else its id.")] = None,
    signing_key: Annotated[
        list[Path] | None,
        typer.Option(
            help="A public key that it signs its requests with: PEM (Ed25519) or a JWK. Several times: any of them.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Take its keys away: it need not sign.")] = False,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="No password: a client certificate says who it is. Needs TLS.")
    ] = False,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Register an institution, and let it in at the broker: a user with a random password, rights for its own requests and
    answers alone, and its queues. Run again, it puts right what differs; the password stays, and so do name, status and keys
    where none is given. A user that is somebody else's is refused, and then nothing is changed. A certificate's common name is the user; the local stack's authority issues one, elsewhere yours does.
    """
    access = _access(institution, kind, user)
    said: dict[str, Any] = {"kind": kind, "region_code": region, "amqp_user": access.user}
    said |= {field: value for field, value in (("name", name), ("status", status)) if value is not None}
    if signing_key or unsigned:
        said["signing_keys"] = [_key_in(file).model_dump(mode="json") for file in signing_key or ()]
    with broker() as management:
        # Asked first: whoever is registered with somebody else's user lets them send in its name.
        is_known = management.is_let_in(access)
        # Before anybody is let in: what fails then leaves nobody in, and the password, which is shown once, cannot be lost.
        _register(institution, said)
        if certificate or not is_known:
            login = _let_in(management, access, certificate=certificate)
        else:
            login = Login(access, None, None)
        management.grant(access)
    _tell(login, as_json=as_json, lang=lang)


@app.command()
def new_password(
    institution: Annotated[str, typer.Argument(metavar="ID", help="The institution's id.")],
    kind: Annotated[InstitutionKind, typer.Option(help="What it is.")],
    user: Annotated[str | None, typer.Option(help="Its user at the broker; else its id.")] = None,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Give an institution's user another password; what it is registered as, and its rights, stay."""
    access = _access(institution, kind, user)
    with broker() as management:
        if not management.is_let_in(access):
            errors.print(f"[red]{access.user} has not been let in: gongji institution add {institution}[/]")
            raise typer.Exit(USAGE)
        login = _let_in(management, access, certificate=False)
    _tell(login, as_json=as_json, lang=lang)


@app.command()
def shut_out(
    user: Annotated[str, typer.Argument(help="The institution's user at the broker.")],
    lang: Lang = None,
) -> None:
    """Take away an institution's user at the broker, at once, with its connections; no more results go to its queue. What the
    institution is registered as stays, and so does what its queues hold.
    """
    with broker() as management, proper_names():
        management.shut_out(user)
    for file in (state_directory() / "institutions").glob("*"):
        if sends_as(file.name).user_id == user:
            file.unlink()
    say = speech(lang)
    console.print(say(f"{user} can no longer enter", f"{user} 已不能接入"))


def _access(institution: str, kind: InstitutionKind, user: str | None) -> Access:
    with proper_names():
        return Access(user or institution, institution, kind)


@contextmanager
def proper_names() -> Iterator[None]:
    """Ends the command where a name cannot be one."""
    try:
        yield
    except ValueError as error:
        errors.print(f"[red]{error}[/]", markup=True)
        raise typer.Exit(USAGE) from None


def _let_in(management: Management, access: Access, *, certificate: bool) -> Login:
    password = None if certificate else secrets.token_urlsafe(32)
    management.put_user(access.user, password)
    url = _amqp_url(access.user, password)
    _remember(access.institution_id, url)
    return Login(access, password, url)


def _tell(login: Login, *, as_json: bool, lang: str | None) -> None:
    if as_json:
        print_json(login.told())
        return
    say, access = speech(lang), login.access
    institution, user = access.institution_id, access.user
    console.print(say(f"{institution} may send as {user}", f"{institution} 可以用户 {user} 的身份发送请求"))
    if login.amqp_url:
        url = say("  its URL, shown once:  ", "  连接地址（只显示一次）：") + login.amqp_url
        console.print(url, markup=False, soft_wrap=True)
    else:
        kept = "  its password is as it was; `gongji institution new-password` makes another"
        console.print(say(kept, "  密码未变；用 `gongji institution new-password` 重新生成"))
    console.print(say("  lasting reply queue:  ", "  持久应答队列：") + access.reply_queue)
    console.print(say("  answers without reply_to:  ", "  未指定 reply_to 的应答：") + access.results_queue)


@contextmanager
def broker() -> Iterator[Management]:
    """The broker's management. What goes wrong there ends the command in one sentence."""
    known = environment()
    try:
        with Management(known[MANAGEMENT], vhost_of(hosts(known["GONGJI_AMQP_URL"])[0])) as management:
            yield management
    except ManagementRefused as error:
        errors.print(f"[red]{error}[/]", markup=True)
        raise typer.Exit(REJECTED) from None
    except httpx.TransportError as error:
        address = known[MANAGEMENT].rpartition("@")[2]
        errors.print(f"[red]cannot reach the broker's management at {address}: {type(error).__name__}[/]")
        raise typer.Exit(NO_ANSWER) from None


def _key_in(file: Path) -> EdwardsKey | Sm2Key:
    """The public key in a file; its kid is the file's name without its ending. Ends the command where there is none."""
    content = file.read_bytes()
    try:
        if content.lstrip().startswith(b"{"):
            (key,) = KEYS.validate_python((from_json(content),))
            return key
        public = load_pem_public_key(content)
        if isinstance(public, Ed25519PublicKey):
            return public_key(public, file.stem)
        problem = "a PEM file must hold an Ed25519 key"
    except ValueError as error:
        problem = str(error)
    errors.print(f"[red]{file}: no public key to check signatures with: {problem}[/]", markup=True)
    raise typer.Exit(USAGE)


def _register(institution: str, said: dict[str, Any]) -> None:
    base_url = environment()["GONGJI_BINDING_URL"]
    headers = {"Authorization": f"Bearer {make_token(Role.OPERATOR)}"}
    try:
        response = httpx.put(
            f"{base_url}/v1/institutions/{institution}",
            params={"exclusive": True},
            json=said,
            headers=headers,
            timeout=30,
        )
    except httpx.TransportError as error:
        errors.print(f"[red]{base_url}: {type(error).__name__}: run the command again[/]")
        raise typer.Exit(NO_ANSWER) from None
    if response.is_error:
        answer = response.json()
        errors.print(f"[red]{answer['reason']}: {answer['detail_en']}[/]")
        for each in answer.get("fields", ()):
            errors.print(f"  {each['field']}: {each['problem']}", markup=False)
        raise typer.Exit(REJECTED)


def _amqp_url(user: str, password: str | None) -> str:
    """The broker's URL with another user, who has a password or, on the local stack, is given a certificate."""
    parts = urlsplit(hosts(environment()["GONGJI_AMQP_URL"])[0])
    address = parts.netloc.rpartition("@")[2]
    if password is not None:
        return parts._replace(netloc=f"{quote(user)}:{quote(password)}@{address}").geturl()
    query = {"auth": "EXTERNAL", **dict(parse_qsl(parts.query))}
    local = certificates_of(state_directory())
    if local.authority.exists():
        query["certfile"], query["keyfile"] = map(str, local.issue(user))
    return parts._replace(netloc=f"{quote(user)}@{address}", query=urlencode(query, safe="/")).geturl()


def _remember(institution: str, amqp_url: str) -> None:
    file = _url_file(institution)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(file, amqp_url.encode())
