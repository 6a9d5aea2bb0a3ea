// A row as COMMAND INFO and COMMAND DOCS show it.
#pragma once

#include <optional>

#include "commands/command.h"

namespace lockstep {

// The ten fields: name, arity, flags, first key, last key, step, ACL categories, tips, key specs,
// subcommands.
Reply CommandInfoOf(const CommandSpec& spec);

// summary, since, group, complexity, arguments, subcommands.
Reply CommandDocsOf(const CommandSpec& spec);

// "@lock" without the "@"; none if there is no such category.
std::optional<Category> CategoryByName(BytesView name);
// All, in Redis's order, ours last.
std::span<const char* const> CategoryNames();

}  // namespace lockstep
