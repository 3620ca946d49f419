"""docs/inputs.md says what the tables of the tests say."""

import inputs_table


def test_the_document_of_inputs_agrees_with_the_tables():
    assert inputs_table.DOCUMENT.read_text(encoding="utf-8") == inputs_table.document(), (
        "run `python tests/inputs_table.py`"
    )


def test_the_input_of_a_row_is_named_once_per_section():
    for module in inputs_table.SECTIONS.values():
        path = inputs_table.TESTS / module
        if path.is_file():
            table = inputs_table._imported(path).TABLE
            names = [(entry.kind, entry.given) for entry in table]
            assert len(set(names)) == len(names) > 0, module
