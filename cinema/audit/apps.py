from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "cinema.audit"
    label = "audit"
