#include "commands/wait_ops.h"

namespace lockstep {

Bytes CancelOp::Encode() const {
  Bytes out;
  Writer writer(&out);
  writer.U8(kCancelTag);
  writer.Put(target);
  writer.U8(static_cast<uint8_t>(why));
  return out;
}

CancelOp CancelOp::Decode(Reader* in) {
  CancelOp op;
  op.target = in->GetRequestId();
  const uint8_t why = in->U8();
  if (why > static_cast<uint8_t>(CancelOp::Why::kGone)) in->Fail();
  op.why = static_cast<CancelOp::Why>(why);
  return op;
}

Bytes HangupOp::Encode() const {
  Bytes out;
  Writer writer(&out);
  writer.U8(kHangupTag);
  writer.Put(origin);
  writer.Varint(incarnation);
  writer.Put(client);
  return out;
}

HangupOp HangupOp::Decode(Reader* in) {
  HangupOp op;
  op.origin = in->Get<NodeId>();
  op.incarnation = in->Varint();
  op.client = in->Get<ClientId>();
  return op;
}

}  // namespace lockstep
