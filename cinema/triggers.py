"""Triggers that models declare, in the form in which migrations install them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pgtrigger
from pgtrigger import compiler


class TriggerSql(compiler.UpsertTriggerSql):
    """The function and the trigger. Migrations name this class: change the template in a subclass.

    The library's own template asks a function with an exception handler for each row whether
    `pgtrigger.ignore` names the trigger. That subtransaction took an import of films with their
    genres from 28 to 43 s on a busy machine.
    """

    def get_template(self) -> str:
        return """
            CREATE OR REPLACE FUNCTION {pgid}() RETURNS TRIGGER LANGUAGE plpgsql AS $$
            {declare}
            BEGIN
                IF TG_NAME = ANY (NULLIF(current_setting('pgtrigger.ignore', true), '')::text[])
                THEN RETURN COALESCE(NEW, OLD);
                END IF;
                {func}
            END $$;
            DROP TRIGGER IF EXISTS {pgid} ON {table};
            CREATE {constraint} TRIGGER {pgid} {when} {operation} ON {table} {timing} {referencing}
                FOR EACH {level} {condition} EXECUTE FUNCTION {execute};
            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class Trigger(pgtrigger.Trigger):
    def compile(self, model: Any) -> compiler.Trigger:
        compiled = super().compile(model)
        return compiler.Trigger(name=compiled.name, sql=TriggerSql(**compiled.sql.kwargs))


AUTHOR = "COALESCE(NULLIF(current_setting('cinema.audit', true), ''), '{}')"
#: True while `cinema.audit.recording` has named an author for the transaction. False or, on a
#: connection on which it never has, NULL: negate it by IS NOT TRUE.
IS_RECORDED = "current_setting('cinema.audit', true) <> ''"

RECORD = """
    IF TG_OP = 'UPDATE' THEN
        columns := ARRAY(
            SELECT name FROM unnest(columns) AS name
            WHERE old_row -> name IS DISTINCT FROM new_row -> name
        );
        IF columns = '{{}}' THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO audit_auditentry
        (at, user_id, via, action, model, object_id, movie_id, before, after, request_id, path)
    VALUES (
        clock_timestamp(), (author ->> 'user_id')::bigint, COALESCE(author ->> 'via', 'database'),
        CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END,
        '{model}', (COALESCE(new_row, old_row) ->> 'id')::bigint,
        (COALESCE(new_row, old_row) ->> '{movie_column}')::bigint,
        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN '"…"' ELSE value END)
         FROM jsonb_each(old_row) WHERE key = ANY (columns)),
        (SELECT jsonb_object_agg(key, CASE WHEN key = ANY (hidden) THEN '"…"' ELSE value END)
         FROM jsonb_each(new_row) WHERE key = ANY (columns)),
        COALESCE(author ->> 'request_id', ''), COALESCE(author ->> 'path', '')
    );
    RETURN NULL;
"""


class Audit(Trigger):
    """Copy the creation, change or deletion of a row into the audit log.

    A trigger does this and not Python, because the log must also hold what bulk writes, cascades,
    imports by COPY and raw SQL change.

    Args:
        model: The row's kind, a value of `AuditEntry.Model`.
        columns: What the log shows: columns, and keys that `prelude` adds to the rows.
        update_of: The columns whose update is looked at; by default `columns`.
        movie_column: The column that holds the film's id, if there is one.
        hidden: Columns that are shown without their values, as the log outlives an account.
        prelude: PL/pgSQL that runs first. It may return, or change `old_row` and `new_row`.
        always: Run also while nothing is recorded, and let `prelude` decide.
    """

    when = pgtrigger.After

    def __init__(
        self,
        model: str,
        columns: Sequence[str],
        *,
        name: str = "audit",
        update_of: Sequence[str] = (),
        movie_column: str = "",
        hidden: Sequence[str] = (),
        prelude: str = "",
        always: bool = False,
    ) -> None:
        self.columns = columns
        update = pgtrigger.UpdateOf(*(update_of or columns))
        super().__init__(
            name=name,
            operation=pgtrigger.Insert | update | pgtrigger.Delete,
            condition=None if always else pgtrigger.Condition(IS_RECORDED),
            declare=[
                ("old_row", "jsonb := to_jsonb(OLD)"),
                ("new_row", "jsonb := to_jsonb(NEW)"),
                ("columns", f"text[] := '{{{','.join(columns)}}}'"),
                ("hidden", f"text[] := '{{{','.join(hidden)}}}'"),
                ("author", f"jsonb := {AUTHOR}"),
            ],
            func=prelude + RECORD.format(model=model, movie_column=movie_column),
        )
