#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_structure.py finds what it is there to find, and leaves the rest alone."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import check_structure  # noqa: E402

HEAD = "// SPDX-License-Identifier: Apache-2.0\n"


def breaches(path, text):
    return [sentence for _, sentence in check_structure.check_file(path, HEAD + text)]


class Includes(unittest.TestCase):
    def test_an_include_that_points_up_is_a_breach(self):
        self.assertEqual(
            breaches("gateway/core/a.cc", '#include "config/settings.h"\n'),
            ["gateway/core (level 2) must not include config (level 4)"],
        )

    def test_neighbours_of_one_level_do_not_include_each_other(self):
        self.assertEqual(len(breaches("adapters/tcp/a.cc", '#include "adapters/coap/b.h"\n')), 1)
        self.assertEqual(len(breaches("gateway/pipeline/a.cc", '#include "gateway/hub/b.h"\n')), 1)

    def test_an_include_that_points_down_or_stays_is_fine(self):
        self.assertEqual(breaches("gateway/app/a.cc", '#include "gateway/cli/b.h"\n#include "gateway/app/c.h"\n'), [])
        self.assertEqual(breaches("identity/a.cc", '#include "gateway/core/device_id.h"\n'), [])

    def test_product_code_never_includes_tests(self):
        self.assertEqual(
            breaches("gateway/hub/a.cc", '#include "tests/hubsim/hub_server.h"\n'),
            ["product code must not include tests/hubsim"],
        )

    def test_the_simulator_shares_only_the_transport(self):
        fine = '#include "gateway/base/result.h"\n#include "gateway/net/stream.h"\n#include "gateway/amqp/engine.h"\n'
        self.assertEqual(breaches("tests/hubsim/a.cc", fine), [])
        for folder in ("identity/sas.h", "gateway/hub/dialect.h", "gateway/core/token.h", "config/settings.h"):
            self.assertEqual(len(breaches("tests/hubsim/a.cc", f'#include "{folder}"\n')), 1, folder)

    def test_tests_may_include_everything(self):
        self.assertEqual(breaches("tests/component/hub/a.cc", '#include "gateway/app/b.h"\n#include <proton/link.h>\n'), [])

    def test_a_library_is_included_in_its_own_folder_only(self):
        self.assertEqual(breaches("adapters/coap/a.cc", "#include <coap3/coap.h>\n"), [])
        self.assertEqual(len(breaches("gateway/app/a.cc", "#include <coap3/coap.h>\n")), 1)
        self.assertEqual(len(breaches("gateway/pipeline/a.cc", "#include <proton/delivery.h>\n")), 1)

    def test_includes_are_written_from_the_root(self):
        self.assertEqual(len(breaches("gateway/hub/a.cc", '#include "b.h"\n')), 1)


class Files(unittest.TestCase):
    def test_a_missing_licence_line_is_a_breach(self):
        self.assertEqual(len(check_structure.check_file("gateway/base/a.cc", "int a;\n")), 1)

    def test_a_header_needs_its_guard(self):
        self.assertEqual(breaches("gateway/base/a.h", "int a;\n"), ["a header without #pragma once"])

    def test_600_lines_are_the_most(self):
        self.assertEqual(breaches("gateway/base/a.cc", "\n" * 599), [])
        self.assertEqual(len(breaches("gateway/base/a.cc", "\n" * 600)), 1)

    def test_a_folder_without_a_level_is_a_breach(self):
        self.assertEqual(breaches("gateway/util/a.cc", ""), ["gateway/util has no level in the layout"])

    def test_the_top_level_is_a_closed_list(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertEqual(check_structure.check_tree(root, ["src/a.txt", ".ci/run", "README.md"]),
                             ["src:1: not a name of the top level"])


if __name__ == "__main__":
    unittest.main()
