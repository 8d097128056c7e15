"""The broker's management API, as far as users, their rights and their queues are concerned."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import httpx

from shared.rabbit.access import CHANNELS_MAX, CONNECTIONS_MAX, QUEUE_ARGUMENTS, Access, results_queue
from shared.rabbit.topology import RESULTS

TIMEOUT_S = 30.0


class ManagementRefused(Exception):
    """The broker does not do what it was asked; the message says what, and why."""


def vhost_of(amqp_url: str) -> str:
    """The vhost of an AMQP URL: none or a lone slash is "/"."""
    return unquote(urlsplit(amqp_url).path.removeprefix("/")) or "/"


class Management:
    """One vhost of a broker, by its management API. `url` names a user who is an administrator."""

    def __init__(self, url: str, vhost: str) -> None:
        parts = urlsplit(url)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        auth = httpx.BasicAuth(parts.username or "", parts.password or "")
        self._http = httpx.Client(base_url=address, auth=auth, timeout=TIMEOUT_S)
        self._vhost = quote(vhost, safe="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._http.close()

    def is_let_in(self, access: Access) -> bool:
        """Whether there is this user, made for this institution.

        Raises ManagementRefused where it is somebody else's: a service's, an administrator's, another institution's.
        """
        found = self._http.get(f"/api/users/{access.user}")
        if found.status_code == httpx.codes.NOT_FOUND:
            return False
        rights = self._http.get(f"/api/permissions/{self._vhost}/{access.user}")
        told = {} if rights.status_code == httpx.codes.NOT_FOUND else self._done(rights).json()
        has_none_or_these = not told or {name: told[name] for name in access.permissions} == access.permissions
        if self._done(found).json()["tags"] or not has_none_or_these:
            raise ManagementRefused(
                f"{access.user} is a user of another kind at the broker: take another name for --user"
            )
        if others := [key for key in self._results_keys(access.user) if key != access.results_key]:
            raise ManagementRefused(
                f"{access.user} reads the results of {', '.join(others)}: shut it out first, or take another user"
            )
        return True

    def put_user(self, user: str, password: str | None) -> None:
        """Makes a user, or gives it this password; None lets nobody in by password: a certificate then says who it is."""
        secret = {"password_hash": ""} if password is None else {"password": password}
        self._put(f"/api/users/{user}", {**secret, "tags": ""})

    def grant(self, access: Access) -> None:
        """Makes the user's rights exactly these, and the queues that they speak of."""
        user = access.user
        for queue in (access.reply_queue, access.results_queue):
            said = {"durable": True, "auto_delete": False, "arguments": QUEUE_ARGUMENTS}
            self._put(f"/api/queues/{self._vhost}/{queue}", said)
        self._done(self._http.post(self._bound(user), json={"routing_key": access.results_key}))
        self._put(f"/api/user-limits/{user}/max-connections", {"value": CONNECTIONS_MAX})
        self._put(f"/api/user-limits/{user}/max-channels", {"value": CHANNELS_MAX})
        for topics in access.topic_permissions:
            self._put(f"/api/topic-permissions/{self._vhost}/{user}", topics)
        # Last: until then the user cannot even enter.
        self._put(f"/api/permissions/{self._vhost}/{user}", access.permissions)

    def shut_out(self, user: str) -> None:
        """Ends a user, and with it its connections. Its queues stay, with what is in them, and get nothing more.

        Raises ValueError for what cannot be a user's name.
        """
        bound = self._bound(user)
        self._done(self._http.delete(f"/api/users/{user}"))
        for each in self._results_keys(user).values():
            self._done(self._http.delete(f"{bound}/{each}"))

    def _bound(self, user: str) -> str:
        return f"/api/bindings/{self._vhost}/e/{RESULTS}/q/{results_queue(user)}"

    def _results_keys(self, user: str) -> dict[str, str]:
        """Which results go to the user's queue: routing keys, each with the name that the broker gives the binding."""
        found = self._http.get(self._bound(user))
        if found.status_code == httpx.codes.NOT_FOUND:
            return {}
        return {each["routing_key"]: quote(each["properties_key"], safe="") for each in self._done(found).json()}

    def _put(self, path: str, body: Mapping[str, Any]) -> None:
        self._done(self._http.put(path, json=body))

    def _done(self, response: httpx.Response) -> httpx.Response:
        if response.is_error:
            asked = f"{response.request.method} {response.request.url.path}"
            raise ManagementRefused(f"the broker refused {asked}: {response.status_code} {response.text[:200]}")
        return response
