"""Films as TMDb tells of them, with the fields that it sends and we do not use."""

from __future__ import annotations

from typing import Any

GENRES: dict[str, list[dict[str, Any]]] = {
    "en": [
        {"id": 18, "name": "Drama"},
        {"id": 10402, "name": "Music"},
        {"id": 35, "name": "Comedy"},
    ],
    "de": [
        {"id": 18, "name": "Drama"},
        {"id": 10402, "name": "Musik"},
        {"id": 35, "name": "Komödie"},
    ],
}

CLEO = 499


def cleo(**fields: Any) -> dict[str, Any]:
    """`/movie/499` with everything appended."""
    return {
        "adult": False,
        "backdrop_path": "/4mCpPxbnCbmqWyPOaqLRIqyxMTE.jpg",
        "belongs_to_collection": {
            "id": 9018,
            "name": "Left Bank Collection",
            "poster_path": None,
            "backdrop_path": None,
        },
        "budget": 0,
        "genres": [{"id": 18, "name": "Drama"}, {"id": 10402, "name": "Music"}],
        "homepage": "",
        "id": CLEO,
        "imdb_id": "tt0055852",
        "origin_country": ["FR"],
        "original_language": "fr",
        "original_title": "Cléo de 5 à 7",
        "overview": "Agnès Varda captures Paris while telling of a singer set adrift in the city.",
        "popularity": 11.2,
        "poster_path": "/oelBStY4xpguaplRv15P3Za7Xsr.jpg",
        "production_companies": [{"id": 1, "name": "Ciné-tamaris", "logo_path": None}],
        "release_date": "1962-04-11",
        "revenue": 0,
        "runtime": 90,
        "spoken_languages": [{"english_name": "French", "iso_639_1": "fr", "name": "Français"}],
        "status": "Released",
        "tagline": "",
        "title": "Cléo from 5 to 7",
        "video": False,
        "vote_average": 7.6,
        "vote_count": 701,
        "credits": {
            "cast": [
                cast("Antoine Bourseiller", 1),
                cast("Corinne Marchand", 0),
                cast("Dominique Davray", 2),
            ],
            "crew": [
                crew("Jean Rabier", "Director of Photography", "Camera"),
                crew("Agnès Varda", "Director", "Directing"),
                crew("Agnès Varda", "Screenplay", "Writing"),
            ],
        },
        "keywords": {
            "keywords": [{"id": 90, "name": "paris, france"}, {"id": 1, "name": "singer"}]
        },
        "images": {"backdrops": [], "logos": [], "posters": [image("/other.jpg", "en", 5.0)]},
        "videos": {
            "results": [
                video("teaser00001", type="Teaser"),
                video("fanmade0001", official=False, published_at="2024-01-01T00:00:00.000Z"),
                video("official001", published_at="2019-05-01T10:00:00.000Z"),
                video("official002", published_at="2020-05-01T10:00:00.000Z"),
                video("vimeo000001", site="Vimeo", published_at="2025-05-01T10:00:00.000Z"),
            ]
        },
        **fields,
    }


def tmdb_film(number: int, **fields: Any) -> dict[str, Any]:
    """Another film, of which only the id and the title are told apart."""
    title = f"Film {number}"
    return cleo(id=number, title=title, original_title=title, **fields)


def summary(film: dict[str, Any]) -> dict[str, Any]:
    """The film as it stands in lists and searches."""
    told = [
        "adult", "backdrop_path", "id", "original_language", "original_title", "overview",
        "popularity", "poster_path", "release_date", "title", "video", "vote_average",
    ]  # fmt: skip
    numbers = [genre["id"] for genre in film.get("genres") or []]
    return {**{name: film[name] for name in told if name in film}, "genre_ids": numbers}


def cast(name: str, order: int) -> dict[str, Any]:
    return {
        "adult": False,
        "cast_id": order + 10,
        "character": "Somebody",
        "credit_id": f"52fe{order}",
        "gender": 1,
        "id": order + 1000,
        "known_for_department": "Acting",
        "name": name,
        "order": order,
        "profile_path": None,
    }


def crew(name: str, job: str, department: str) -> dict[str, Any]:
    return {"department": department, "gender": 1, "id": 6817, "job": job, "name": name}


def image(path: str, language: str | None, votes: float) -> dict[str, Any]:
    return {
        "aspect_ratio": 0.667,
        "file_path": path,
        "height": 3000,
        "iso_639_1": language,
        "vote_average": votes,
        "width": 2000,
    }


def video(key: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"video-{key}",
        "iso_639_1": "en",
        "iso_3166_1": "US",
        "key": key,
        "name": "Trailer",
        "official": True,
        "published_at": "2018-05-01T10:00:00.000Z",
        "site": "YouTube",
        "size": 1080,
        "type": "Trailer",
        **fields,
    }
