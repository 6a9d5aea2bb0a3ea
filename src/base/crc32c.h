// CRC-32C (Castagnoli; RFC 3720 appendix B.4): the checksum of bus frames and stored records. Finds
// damage, proves nothing against an attacker.
#pragma once

#include "src/base/bytes.h"

namespace lockstep {

uint32_t Crc32c(BytesView data);
// Of what came before, whose checksum is `before`, and `data` behind it.
uint32_t Crc32cAfter(uint32_t before, BytesView data);

}  // namespace lockstep
