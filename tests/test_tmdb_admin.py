"""The pages of TMDb in the admin site."""

from __future__ import annotations

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from movies.models import Genre
from movies.tmdb.models import SyncReport, TmdbGenre
from tests.builders import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff_browser(db: None) -> Browser:
    browser = Browser()
    browser.force_login(make_user(is_staff=True), "django.contrib.auth.backends.ModelBackend")
    return browser


def test_sync_reports_are_there_to_be_read(staff_browser: Browser) -> None:
    report = SyncReport.objects.create(
        kind="films",
        state="failed",
        fetched_before=timezone.now(),
        problems=["TMDb has no film 7."],
    )
    listed = staff_browser.get(reverse("admin:tmdb_syncreport_changelist"))
    assert listed.status_code == 200
    address = reverse("admin:tmdb_syncreport_change", args=[report.pk])
    assert "TMDb has no film 7." in staff_browser.get(address).content.decode()
    assert staff_browser.post(address, {"state": "done"}).status_code == 403
    assert staff_browser.get(reverse("admin:tmdb_syncreport_add")).status_code == 403


def test_the_admin_site_maps_genres(staff_browser: Browser) -> None:
    genre = Genre.objects.create(slug="chanson", name="Chanson")
    row = TmdbGenre.objects.create(tmdb_id=10402, name="Music", fetched_at=timezone.now())
    address = reverse("admin:tmdb_tmdbgenre_change", args=[row.pk])
    assert staff_browser.get(address).status_code == 200
    assert staff_browser.post(address, {"genre": genre.pk, "name": "Noise"}).status_code == 302
    row.refresh_from_db()
    assert (row.genre, row.name) == (genre, "Music")
    assert staff_browser.get(reverse("admin:tmdb_tmdbgenre_changelist")).status_code == 200
    assert (
        staff_browser.post(reverse("admin:tmdb_tmdbgenre_delete", args=[row.pk])).status_code == 403
    )
