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
    """What Django asks of a user model's manager; everything else is in `users.services`."""

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

    #: In one spelling, whatever the viewer typed: `users.addresses`.
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=100, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)
    #: When the viewer last proved to read what is sent to `email`.
    email_verified_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Rises with each change to what the viewer's taste is read from (database triggers see to
    #: it), so that what was computed from that is known to be old.
    taste_version = models.PositiveBigIntegerField(default=0, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    #: The one whose access token came with this request, where one did.
    session: Session | None = None

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
    """One sign-in on one device, until its end. Every token that it was given names it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    #: What the client said of itself when it signed in: `User-Agent`, cut.
    device = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    last_used_at = models.DateTimeField(default=timezone.now)
    #: Of its newest refresh token.
    expires_at = models.DateTimeField(db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

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
    """One refresh token, by its hash. Each use replaces it by the next one of its session."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="refresh_tokens")
    token_hash = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    spent_at = models.DateTimeField(null=True, blank=True)
    #: Once it is spent: what its successor was derived with.
    successor_salt = models.BinaryField(max_length=16, null=True)

    def __str__(self) -> str:
        return f"refresh token {self.pk} of session {self.session_id}"


class MailedToken(models.Model):
    """A token that was mailed to a viewer, by its hash: good once, and not for long."""

    class Purpose(models.TextChoices):
        VERIFY_EMAIL = "verify-email", "to verify the address"
        RESET_PASSWORD = "reset-password", "to choose a new password"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="mailed_tokens")
    purpose = models.CharField(max_length=20, choices=Purpose.choices)
    #: Where it was sent. Once the account has another address, it counts no more.
    email = models.EmailField(max_length=254)
    token_hash = models.BinaryField(max_length=32, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"token {self.pk} {self.get_purpose_display()} of user {self.user_id}"


class MailRequest(models.Model):
    """A mail that is to be sent, until it is. Tasks are told its id, and never an address."""

    class Kind(models.TextChoices):
        VERIFY_EMAIL = "verify-email", "a link to verify the address"
        RESET_PASSWORD = "reset-password", "a link to choose a new password"
        EMAIL_CHANGED = "email-changed", "to the old address: there is a new one"
        PASSWORD_CHANGED = "password-changed", "there is a new password"

    kind = models.CharField(max_length=20, choices=Kind.choices)
    #: None for a forgotten password: whether there is an account is found out by the worker.
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="+")
    email = models.EmailField(max_length=254)
    created_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    #: Nobody sends it before that.
    due_at = models.DateTimeField(default=timezone.now, db_index=True)

    def __str__(self) -> str:
        return f"mail {self.pk}: {self.get_kind_display()}"


class Preferences(models.Model):
    """What a viewer says of their taste. Without a row a viewer has said nothing."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True)
    genres = models.ManyToManyField(Genre, blank=True, related_name="+")
    languages = ArrayField(models.CharField(max_length=12), default=list, blank=True)
    #: Whether viewers of similar taste may see this one. Nobody is seen who has not said so.
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
    #: Of the code that was used last, in periods of 30 seconds since 1970. No code counts twice.
    last_step = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    recovery_codes_made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"second factor of user {self.user_id}"


class RecoveryCode(models.Model):
    """A code that signs in once without the app, by its hash. A used one is deleted."""

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
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="favourite_unique"),
        ]
        indexes = [
            models.Index(fields=["user", "created_at"], name="favourite_by_user"),
            models.Index(fields=["created_at"], include=["movie"], name="favourite_recent"),
        ]

    def __str__(self) -> str:
        return f"movie {self.movie_id}, a favourite of user {self.user_id}"


class Viewing(models.Model):
    """That a viewer has watched a film, and when; checked in: here, at a screening."""

    user = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="viewings", db_index=False
    )
    movie = models.ForeignKey(
        Movie, on_delete=models.PROTECT, related_name="viewings", db_index=False
    )
    screening = models.ForeignKey(
        Screening, on_delete=models.SET_NULL, null=True, blank=True, related_name="viewings"
    )
    #: Also when the screening is deleted afterwards.
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
    """Films in an order of the viewer's choice, for the viewer or for everybody."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="playlists")
    name = models.CharField(max_length=100)
    description = models.TextField(max_length=2000, blank=True)
    is_public = models.BooleanField(default=False)
    #: Whoever has the link may read the list, public or not. None until its owner asks for one.
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
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PlaylistEntry(models.Model):
    playlist = models.ForeignKey(
        Playlist, on_delete=models.CASCADE, related_name="entries", db_index=False
    )
    movie = models.ForeignKey(Movie, on_delete=models.PROTECT, related_name="playlist_entries")
    #: Rises from film to film; what is taken out leaves a gap.
    position = models.PositiveIntegerField()
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "playlist entries"
        ordering = ("position",)
        constraints = [
            models.UniqueConstraint(fields=["playlist", "movie"], name="playlist_movie_once"),
            # Judged at the commit: reordering moves all of them at once.
            models.UniqueConstraint(
                fields=["playlist", "position"],
                name="playlist_position_unique",
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"movie {self.movie_id} in playlist {self.playlist_id}"


class PlaylistFollow(models.Model):
    """That a viewer wants another's public list among their own."""

    playlist = models.ForeignKey(
        Playlist, on_delete=models.CASCADE, related_name="follows", db_index=False
    )
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="followed")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["playlist", "user"], name="playlist_followed_once"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} follows playlist {self.playlist_id}"
