from __future__ import annotations

from typing import ClassVar

import pgtrigger
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils import timezone

from movies.models import Genre, Movie, Screening
from users import triggers
from users.addresses import email_key


class UserManager(BaseUserManager["User"]):
    """The methods that Django requires; everything else is in `users.services`."""

    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        user = self.model(email=email_key(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=email_key(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """A viewer, or a member of staff. Signs in with an e-mail address."""

    #: The address in its normal spelling: `users.addresses`.
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=100, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    #: The last time at which the viewer proved to read mails to `email`.
    email_verified_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Rises with each change of the viewer's interactions (a trigger), favourites, history and
    #: preferences (`users.auth.raise_taste_version`): results of an older version are outdated.
    taste_version = models.PositiveBigIntegerField(default=0, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    #: The id of the session of this request's access token, if there is one.
    session_id: int | None = None
    #: Whether this sign-in has spent a code of the second factor.
    has_given_code: bool = False

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"

    class Meta:
        verbose_name = "viewer"
        triggers = [triggers.CREDENTIALS, triggers.USER_AUDIT]
        constraints = [
            models.CheckConstraint(condition=Q(email=Lower("email")), name="user_email_lower"),
            models.CheckConstraint(condition=~Q(email=""), name="user_email_not_empty"),
        ]

    def __str__(self) -> str:
        return self.email

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    def check_password(self, raw_password: str | None) -> bool:
        return check_password(raw_password, self.password, self._hash_anew)

    def _hash_anew(self, raw_password: str) -> None:
        """Hash the same password at today's cost, which ends no session."""
        old, self.password = self.password, make_password(raw_password)
        with pgtrigger.ignore("users.User:credentials"):
            User.objects.filter(pk=self.pk, password=old).update(password=self.password)


class Session(models.Model):
    """One sign-in on one device. All its tokens name it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    #: `User-Agent` at the sign-in, cut.
    device = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    #: The expiry of its newest refresh token.
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    #: With replicas: the position of the write-ahead log after the viewer's last write, and the
    #: taste version that lies before it (`users.auth.keep_position`).
    wal_position = models.BigIntegerField(null=True, editable=False)
    wal_taste_version = models.PositiveBigIntegerField(null=True, editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["user", "last_used_at"], name="session_by_user"),
            models.Index(
                fields=["revoked_at"],
                condition=Q(revoked_at__isnull=False),
                name="session_by_revocation",
            ),
        ]

    def __str__(self) -> str:
        return f"session {self.pk} of user {self.user_id}"


class RefreshToken(models.Model):
    """The hash of a refresh token. Each use replaces it by the next one of its session."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    token_hash = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    spent_at = models.DateTimeField(null=True, blank=True)
    #: Set once it is spent: its successor was derived with it.
    successor_salt = models.BinaryField(max_length=16, null=True)

    def __str__(self) -> str:
        return f"refresh token {self.pk} of session {self.session_id}"


class MailedToken(models.Model):
    """The hash of a token that was mailed to a viewer. It works once, for a short time."""

    class Purpose(models.TextChoices):
        VERIFY_EMAIL = "verify-email", "to verify the address"
        RESET_PASSWORD = "reset-password", "to choose a new password"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mailed_tokens")
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    #: The address it was sent to. With another address of the account it is invalid.
    email = models.EmailField(max_length=254)
    token_hash = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"token {self.pk} {self.get_purpose_display()} of user {self.user_id}"


class MailRequest(models.Model):
    """A mail that is still to be sent. Tasks take its id, never an address."""

    class Kind(models.TextChoices):
        VERIFY_EMAIL = "verify-email", "a link to verify the address"
        RESET_PASSWORD = "reset-password", "a link to choose a new password"
        EMAIL_CHANGED = "email-changed", "to the old address: there is a new one"
        PASSWORD_CHANGED = "password-changed", "there is a new password"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    #: The account; None for a forgotten password, for which the worker looks it up.
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    #: The earliest time of the next attempt.
    due_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"mail {self.pk}: {self.get_kind_display()}"


class Preferences(models.Model):
    """A viewer's stated taste. No row: none is stated."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True)
    genres = models.ManyToManyField(Genre, blank=True, related_name="+")
    languages = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    #: Whether viewers of similar taste may see this one.
    match_visible = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "preferences"

    def __str__(self) -> str:
        return f"preferences of user {self.user_id}"


class PreferredGenre(Preferences.genres.through):  # type: ignore[misc, name-defined]
    """A proxy, so that the trigger of the relation's table has a model that declares it."""

    class Meta:
        proxy = True
        default_permissions = ()
        triggers = [triggers.PREFERRED_GENRES_DELETED]


class SecondFactor(models.Model):
    """An authenticator app: it and the server know a secret, from which codes follow (RFC 6238).

    A row is made once the app has shown a right code; from then on each sign-in needs one.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="second_factor")
    #: Base32. It cannot be stored as a hash: the server computes the codes too.
    secret = models.CharField(max_length=64)
    #: The period of the last used code, in 30 s since 1970. No code works twice.
    last_step = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    recovery_codes_made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"


class RecoveryCode(models.Model):
    """The hash of a code that signs in once without the app. A used one is deleted."""

    factor = models.ForeignKey(
        SecondFactor, on_delete=models.CASCADE, related_name="recovery_codes"
    )
    code_hash = models.BinaryField(max_length=32, unique=True)

    def __str__(self) -> str:
        return f"recovery code {self.pk} of second factor {self.factor_id}"


class Favourite(models.Model):
    """A film that a viewer loves."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="favourites", db_index=False
    )
    movie = models.ForeignKey(Movie, on_delete=models.PROTECT, related_name="favourites")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "movie"], name="favourite_unique")]
        indexes = [
            models.Index(fields=["user", "created_at"], name="favourite_by_user"),
            models.Index(fields=["created_at"], include=["movie"], name="favourite_recent"),
        ]

    def __str__(self) -> str:
        return f"movie {self.movie_id}, a favourite of user {self.user_id}"


class Viewing(models.Model):
    """A viewer watched a film; `checked_in`: at one of our screenings."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="viewings", db_index=False
    )
    movie = models.ForeignKey(
        Movie, on_delete=models.PROTECT, related_name="viewings", db_index=False
    )
    screening = models.ForeignKey(
        Screening, on_delete=models.SET_NULL, null=True, blank=True, related_name="viewings"
    )
    #: It stays True when the screening is deleted.
    checked_in = models.BooleanField(default=False)
    watched_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "movie", "watched_at"], name="viewing_unique"),
            models.UniqueConstraint(fields=["user", "screening"], name="viewing_checked_in_once"),
            models.CheckConstraint(
                condition=Q(screening=None) | Q(checked_in=True), name="viewing_checked_in"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "watched_at"], name="viewing_by_user"),
            models.Index(fields=["movie", "watched_at"], name="viewing_by_movie"),
            models.Index(
                fields=["watched_at"], include=["movie", "checked_in"], name="viewing_recent"
            ),
        ]

    def __str__(self) -> str:
        return f"movie {self.movie_id}, watched by user {self.user_id}"


class Playlist(models.Model):
    """An ordered list of films, private or public."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="playlists")
    name = models.CharField(max_length=100)
    description = models.TextField(max_length=2000, blank=True)
    is_public = models.BooleanField(default=False)
    #: The link by which anyone may read the list, public or not. None: no link yet.
    share_slug = models.CharField(max_length=43, null=True, blank=True, unique=True)
    movies = models.ManyToManyField(Movie, through="PlaylistEntry", related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="playlist_name_not_empty"),
            models.CheckConstraint(condition=~Q(share_slug=""), name="playlist_slug_not_empty"),
        ]
        indexes = [
            models.Index(
                fields=["-updated_at", "-id"],
                condition=Q(is_public=True),
                name="playlist_public_by_update",
            )
        ]

    def __str__(self) -> str:
        return self.name


class PlaylistEntry(models.Model):
    playlist = models.ForeignKey(
        Playlist, on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    movie = models.ForeignKey(Movie, on_delete=models.PROTECT, related_name="playlist_entries")
    #: Ascending; a removed film leaves a gap.
    position = models.PositiveIntegerField()
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "playlist entries"
        ordering = ("position",)
        constraints = [
            models.UniqueConstraint(fields=["playlist", "movie"], name="playlist_movie_once"),
            # Checked at the commit, as reordering moves all entries at once.
            models.UniqueConstraint(
                fields=["playlist", "position"],
                name="playlist_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"movie {self.movie_id} in playlist {self.playlist_id}"


class PlaylistFollow(models.Model):
    """A viewer follows another viewer's public list."""

    playlist = models.ForeignKey(
        Playlist, on_delete=models.CASCADE, related_name="follows", db_index=False
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="followed")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["playlist", "user"], name="playlist_followed_once")
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} follows playlist {self.playlist_id}"
