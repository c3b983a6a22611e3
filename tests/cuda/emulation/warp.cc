// The collectives of a warp.
#include "emulation/machine.h"

namespace nexttoken::emulation {
namespace {

void RequireMask(const Thread* self) {
  const unsigned mask = self->mask;
  const Warp* warp = self->warp;
  if ((mask & Bit(self->lane)) == 0) Fail(self, "the mask %08x is without the calling lane %u", mask, self->lane);
  if ((mask & ~warp->present) != 0) {
    const unsigned lane = static_cast<unsigned>(__builtin_ctz(mask & ~warp->present));
    Fail(self, "the mask %08x has lane %u, which has returned or does not exist", mask, lane);
  }
  if ((mask & warp->waiting) != 0) {
    const Thread& other = warp->lanes[__builtin_ctz(mask & warp->waiting)];
    Fail(self, "the mask %08x has lane %u, which waits at %s (%s:%d)", mask, other.lane, Name(other.meeting),
         other.place.file, other.place.line);
  }
}

void RequireAgreement(const Thread* self, const Thread* other) {
  if (other->mask == self->mask && other->meeting == self->meeting && other->width == self->width) return;
  if ((other->mask & self->mask) == 0) return;
  Fail(self,
       "lanes of a warp disagree: lane %u comes with the mask %08x and width %d, lane %u waits at %s (%s:%d) with %08x "
       "and %d",
       self->lane, self->mask, self->width, other->lane, Name(other->meeting), other->place.file, other->place.line,
       other->mask, other->width);
}

// With those who wait already, who agree with each other.
void RequireAgreement(const Thread* self) {
  const Warp* warp = self->warp;
  const unsigned partners = warp->meeting & self->mask;
  if (partners != 0) RequireAgreement(self, warp->lanes + __builtin_ctz(partners));
  for (unsigned rest = warp->meeting & ~self->mask; rest != 0; rest &= rest - 1) {
    RequireAgreement(self, warp->lanes + __builtin_ctz(rest));
  }
}

unsigned SourceLane(const Thread* thread) {
  const auto width = static_cast<unsigned>(thread->width);
  const unsigned lane = thread->lane;
  const unsigned begin = lane & ~(width - 1);
  const unsigned operand = static_cast<unsigned>(thread->operand) % 32;  // as the instruction has it
  switch (thread->meeting) {
    case Meeting::kShuffle:
      return begin + (operand & (width - 1));
    case Meeting::kShuffleUp:
      return operand <= lane - begin ? lane - operand : lane;
    case Meeting::kShuffleDown:
      return operand < begin + width - lane ? lane + operand : lane;
    default: {
      const unsigned source = lane ^ operand;
      return source < begin + width ? source : lane;
    }
  }
}

void ShuffleLanes(Warp* warp, unsigned mask) {
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
    const Thread* thread = warp->lanes + __builtin_ctz(rest);
    const unsigned source = SourceLane(thread);
    if ((mask & Bit(source)) == 0) {
      Fail(thread, "lane %u reads from lane %u, which is not in the mask %08x", thread->lane, source, mask);
    }
    warp->result[thread->lane] = warp->value[source];
  }
}

void MatchLanes(Warp* warp, unsigned mask) {
  for (unsigned left = mask; left != 0;) {
    const uint64_t value = warp->value[__builtin_ctz(left)];
    unsigned equal = 0;
    for (unsigned rest = left; rest != 0; rest &= rest - 1) {
      const int lane = __builtin_ctz(rest);
      if (warp->value[lane] == value) equal |= Bit(static_cast<unsigned>(lane));
    }
    for (unsigned rest = equal; rest != 0; rest &= rest - 1) warp->result[__builtin_ctz(rest)] = equal;
    left &= ~equal;
  }
}

uint64_t Combine(Meeting meeting, uint64_t a, uint64_t b) {
  switch (meeting) {
    case Meeting::kReduceAdd:
      return a + b;
    case Meeting::kReduceMin:
      return a < b ? a : b;
    case Meeting::kReduceMax:
      return a > b ? a : b;
    case Meeting::kReduceAnd:
    case Meeting::kAll:
      return a & b;
    default:
      return a | b;
  }
}

void CombineLanes(Warp* warp, unsigned mask, Meeting meeting) {
  uint64_t combined = 0;
  if (meeting == Meeting::kBallot) {
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
      const int lane = __builtin_ctz(rest);
      combined |= warp->value[lane] << lane;
    }
  } else {
    combined = warp->value[__builtin_ctz(mask)];
    for (unsigned rest = mask & (mask - 1); rest != 0; rest &= rest - 1) {
      combined = Combine(meeting, combined, warp->value[__builtin_ctz(rest)]);
    }
  }
  for (unsigned rest = mask; rest != 0; rest &= rest - 1) warp->result[__builtin_ctz(rest)] = combined;
}

void Complete(Warp* warp, unsigned mask, Meeting meeting) {
  switch (meeting) {
    case Meeting::kSyncWarp:
      break;
    case Meeting::kShuffle:
    case Meeting::kShuffleUp:
    case Meeting::kShuffleDown:
    case Meeting::kShuffleXor:
      ShuffleLanes(warp, mask);
      break;
    case Meeting::kMatchAny:
      MatchLanes(warp, mask);
      break;
    default:
      CombineLanes(warp, mask, meeting);
  }
  warp->meeting &= ~mask;
  WakeLanes(warp, mask, true);
}

}  // namespace

uint64_t MeetWarp(Meeting meeting, unsigned mask, uint64_t value, int operand, int width, Place place) {
  Thread* self = current;
  Warp* warp = self->warp;
  self->meeting = meeting;
  self->mask = mask;
  self->operand = operand;
  self->width = width;
  self->place = place;
  RequireMask(self);
  if (width < 1 || width > 32 || (width & (width - 1)) != 0)
    Fail(self, "the width %d is no power of two up to 32", width);
  if (warp->meeting != 0) RequireAgreement(self);
  warp->value[self->lane] = value;
  warp->meeting |= Bit(self->lane);
  const int leader = __builtin_ctz(mask);
  char* order = &warp->order[warp->turn[leader] & 1][leader];
  Release(order);
  if ((warp->meeting & mask) == mask) {
    ++warp->turn[leader];
    Complete(warp, mask, meeting);
  }
  Suspend();
  Acquire(order);
  return warp->result[self->lane];
}

void RequireUnawaited(const Thread* thread, const char* what) {
  const Warp* warp = thread->warp;
  for (unsigned rest = warp->meeting; rest != 0; rest &= rest - 1) {
    const Thread& other = warp->lanes[__builtin_ctz(rest)];
    if ((other.mask & Bit(thread->lane)) == 0) continue;
    Fail(thread, "lane %u %s while lane %u waits for it at %s (%s:%d) with the mask %08x", thread->lane, what,
         other.lane, Name(other.meeting), other.place.file, other.place.line, other.mask);
  }
}

}  // namespace nexttoken::emulation
