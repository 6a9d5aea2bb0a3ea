// A bus message as JSON, for people and tests: {"type":..., "sender":..., "term":...,
// "data":{...}}.
#pragma once

#include "src/base/bytes.h"
#include "src/base/ids.h"

namespace lockstep {

// `body`: of a frame. One line, whatever it holds; bytes that are no text show as \xNN.
Bytes DescribeMessage(NodeId to, BytesView body, bool sent);

}  // namespace lockstep
