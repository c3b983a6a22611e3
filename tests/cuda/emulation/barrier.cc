// Barriers of blocks and clusters.
#include "emulation/machine.h"

namespace nexttoken::emulation {
namespace {

int Result(const Barrier& barrier, Meeting meeting) {
  switch (meeting) {
    case Meeting::kSyncThreadsOr:
      return barrier.count != 0;
    case Meeting::kSyncThreadsAnd:
      return barrier.count == barrier.size;
    default:
      return static_cast<int>(barrier.count);
  }
}

int Wait(Barrier& barrier, Meeting meeting, bool predicate, Place place) {
  Thread* self = current;
  self->meeting = meeting;
  self->place = place;
  if (barrier.returned != 0) Fail(self, "%u of those it waits for have returned", barrier.returned);
  if (barrier.arrived != 0 && barrier.first->meeting != meeting) {
    Fail(self, "others wait at %s (%s:%d)", Name(barrier.first->meeting), barrier.first->place.file,
         barrier.first->place.line);
  }
  RequireUnawaited(self, "waits at a barrier");
  if (barrier.arrived == 0) barrier.first = self;
  barrier.count += predicate;
  self->warp->waiting |= Bit(self->lane);
  const unsigned turn = barrier.turn & 1;
  Release(&barrier.order[turn]);
  if (++barrier.arrived == barrier.size) {
    barrier.result[turn] = Result(barrier, meeting);
    barrier.arrived = 0;
    barrier.count = 0;
    ++barrier.turn;
    WakeWarps(barrier.warps, barrier.warp_count);
  }
  Suspend();
  Acquire(&barrier.order[turn]);
  // A fence counts for the atomics of its phase, or of the first one that has any.
  if (self->published) self->fenced = Fenced::kNo;
  self->published = false;
  return barrier.result[turn];
}

void RequireNoneWaits(const Thread* thread, const Barrier& barrier) {
  if (barrier.arrived == 0) return;
  Fail(thread, "it returned while %u threads wait at %s (%s:%d)", barrier.arrived, Name(barrier.first->meeting),
       barrier.first->place.file, barrier.first->place.line);
}

}  // namespace

int WaitForBlock(Meeting meeting, bool predicate, Place place) {
  return Wait(current->block->barrier, meeting, predicate, place);
}

void WaitForCluster(Place place) {
  Wait(machine->barrier, Meeting::kClusterSync, false, place);
}

void ReturnToBarriers(Thread* thread) {
  RequireNoneWaits(thread, thread->block->barrier);
  RequireNoneWaits(thread, machine->barrier);
  ++thread->block->barrier.returned;
  ++machine->barrier.returned;
}

}  // namespace nexttoken::emulation
