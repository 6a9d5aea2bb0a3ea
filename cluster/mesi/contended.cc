#include "cluster/mesi/contended.h"

#include <algorithm>

#include "cluster/mesi/directory.h"

namespace lockstep::mesi {

bool Contention::IsContended(MonoTime now, const Place& place) {
  return place.conflicts >= kConflicts && now - place.conflict_at <= kForgetUs;
}

// Null: it is taken by a line that is contended.
Contention::Place* Contention::PlaceOf(MonoTime now, uint64_t hash) {
  if (places_.empty()) places_.resize(kPlaces);
  Place* place = &places_[hash % kPlaces];
  if (place->used && place->hash == hash) return place;
  if (place->used && IsContended(now, *place)) return nullptr;
  *place = {};
  place->hash = hash;
  return place;
}

// Short runs that lie far apart cost nobody anything. How often the home's own clients have written
// is not known: what they kept for longer says nothing.
void Contention::EndRun(MonoTime now, uint64_t writes, Place* place) {
  if (now - place->conflict_at > kForgetUs) place->conflicts = 0;
  const bool is_long = now - place->began >= kShortRunUs;
  if (is_long && place->who == kHome) return;
  if (is_long && writes > kFewWrites) {
    place->conflicts = 0;
    return;
  }
  place->conflicts = std::min(place->conflicts + 1, kConflicts);
  place->conflict_at = now;
}

void Contention::OnGrant(MonoTime now, uint64_t hash, uint8_t who, uint64_t gen,
                         const Version& was) {
  Place* place = PlaceOf(now, hash);
  if (place == nullptr) return;
  // It may be for a command that was shipped; OnShip tells.
  if (place->used && place->shipped && who == kHome) return;
  const bool goes_on = place->used && place->who == who;
  const uint64_t granted = was.gen == place->gen ? was.seq : 0;
  if (place->used && !goes_on) EndRun(now, place->shipped ? place->writes : granted, place);
  if (!goes_on) place->began = now;
  place->used = true;
  place->who = who;
  place->gen = gen;
  place->shipped = false;
  place->writes = 0;
}

void Contention::OnShip(MonoTime now, uint64_t hash, uint8_t who, const Version& was,
                        const Version& is) {
  if (was == is) return;
  Place* place = PlaceOf(now, hash);
  if (place == nullptr) return;
  // Another version than this one's latest: the home's own clients have written meanwhile.
  const bool goes_on = place->used && place->who == who &&
                       (!place->shipped || place->version == was);
  // A run that begins now is the home's, which was granted the line for this.
  if (place->used && !goes_on && place->began != now) EndRun(now, place->writes, place);
  if (!goes_on) {
    place->began = now;
    place->writes = 0;
  }
  place->used = true;
  place->shipped = true;
  place->who = who;
  ++place->writes;
  place->version = is;
}

bool Contention::Has(MonoTime now, uint64_t hash) const {
  if (places_.empty()) return false;
  const Place& place = places_[hash % kPlaces];
  return place.used && place.hash == hash && IsContended(now, place);
}

void ContendedKeys::Add(MonoTime now, uint64_t hash) {
  if (places_.empty()) places_.resize(kPlaces);
  places_[hash % kPlaces] = {hash, now + kForgetUs};
}

void ContendedKeys::Remove(uint64_t hash) {
  if (places_.empty()) return;
  Place& place = places_[hash % kPlaces];
  if (place.hash == hash) place = {};
}

bool ContendedKeys::Has(MonoTime now, uint64_t hash) const {
  if (places_.empty()) return false;
  const Place& place = places_[hash % kPlaces];
  return place.hash == hash && now < place.until;
}

}  // namespace lockstep::mesi
