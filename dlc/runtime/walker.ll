; Walks a plan: threads, barriers, claims of work and calls of kernels. `walker.py` fills in what
; depends on the machine and says how the tables of words look.

declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i32 @clock_gettime(i32, ptr)
$declarations

; Returns when the word is no longer `old`: spins, then sleeps.
define void @await(ptr %word, i32 %old, ptr %sleepers, i64 %spin) nounwind {
entry:
  br label %look
look:
  %k = phi i64 [0, %entry], [%more, %pause], [%k, %sleep]
  %now = load atomic i32, ptr %word acquire, align 4
  %same = icmp eq i32 %now, %old
  br i1 %same, label %still, label %done
still:
  %spinning = icmp ult i64 %k, %spin
  br i1 %spinning, label %pause, label %sleep
pause:
  $pause
  %more = add i64 %k, 1
  br label %look
sleep:
  %in = atomicrmw add ptr %sleepers, i32 1 seq_cst
  $wait
  %out = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %look
done:
  ret void
}

; Wakes all who sleep on the word. The word was changed by a sequentially consistent operation,
; so either the sleeper is counted here or it sees the new word.
define void @wake(ptr %word, ptr %sleepers) nounwind {
  %n = load atomic i32, ptr %sleepers seq_cst, align 4
  %none = icmp eq i32 %n, 0
  br i1 %none, label %done, label %some
some:
  $wake
  br label %done
done:
  ret void
}

define void @barrier(ptr %job, i64 %threads) nounwind {
  %arrived = getelementptr i8, ptr %job, i64 64
  %generation = getelementptr i8, ptr %job, i64 128
  %sleepers = getelementptr i8, ptr %job, i64 192
  %spins = getelementptr i8, ptr %job, i64 24
  %old = load atomic i32, ptr %generation acquire, align 4
  %before = atomicrmw add ptr %arrived, i32 1 acq_rel
  %count = add i32 %before, 1
  %all = trunc i64 %threads to i32
  %last = icmp eq i32 %count, %all
  br i1 %last, label %open, label %wait
open:
  store atomic i32 0, ptr %arrived monotonic, align 4
  %g = atomicrmw add ptr %generation, i32 1 seq_cst
  call void @wake(ptr %generation, ptr %sleepers)
  ret void
wait:
  %spin = load i64, ptr %spins
  call void @await(ptr %generation, i32 %old, ptr %sleepers, i64 %spin)
  ret void
}

define i64 @nanoseconds() nounwind {
  %time = alloca [2 x i64]
  %status = call i32 @clock_gettime(i32 1, ptr %time)
  %s = load i64, ptr %time
  %rest = getelementptr i64, ptr %time, i64 1
  %ns = load i64, ptr %rest
  %scaled = mul i64 %s, 1000000000
  %total = add i64 %scaled, %ns
  ret i64 %total
}

; The time, where there is a cell to add it to.
define i64 @now(ptr %cell) nounwind {
  %untimed = icmp eq ptr %cell, null
  br i1 %untimed, label %none, label %clock
clock:
  %ns = call i64 @nanoseconds()
  ret i64 %ns
none:
  ret i64 0
}

; Adds the nanoseconds since `start` to a cell, if there is one.
define void @record(ptr %cell, i64 %start) nounwind {
  %untimed = icmp eq ptr %cell, null
  br i1 %untimed, label %none, label %clock
clock:
  %old = load i64, ptr %cell
  %end = call i64 @nanoseconds()
  %time = sub i64 %end, %start
  %new = add i64 %old, %time
  store i64 %new, ptr %cell
  ret void
none:
  ret void
}

; Units [low, high) of a row in a chain, with arguments of this thread's own: those that move go
; so many of their steps further, in memory for slabs and in memory for bands.
define void @piece(ptr %row, i64 %low, i64 %high, i64 %slabs.by, i64 %bands.by, i64 %number,
                   ptr %cell) nounwind {
entry:
  %own = alloca [$slab_arguments x i64], align 64
  %args.at = getelementptr i64, ptr %row, i64 1
  %moves.at = getelementptr i64, ptr %row, i64 6
  %args = load ptr, ptr %args.at
  %moves = load ptr, ptr %moves.at
  %count = load i64, ptr %moves
  %bytes = mul i64 %count, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %own, ptr %args, i64 %bytes, i1 false)
  %moved.at = getelementptr i64, ptr %moves, i64 1
  %moved = load i64, ptr %moved.at
  %table = getelementptr i64, ptr %moves, i64 3
  br label %head
head:
  %k = phi i64 [0, %entry], [%next, %one]
  %some = icmp ult i64 %k, %moved
  br i1 %some, label %one, label %ready
one:
  %three = mul i64 %k, 3
  %place.at = getelementptr i64, ptr %table, i64 %three
  %size.at = getelementptr i64, ptr %place.at, i64 1
  %kind.at = getelementptr i64, ptr %place.at, i64 2
  %kind = load i64, ptr %kind.at
  %place = load i64, ptr %place.at
  %size = load i64, ptr %size.at
  %is.slab = icmp eq i64 %kind, 0
  %by = select i1 %is.slab, i64 %slabs.by, i64 %bands.by
  %shift = mul i64 %size, %by
  %word = getelementptr i64, ptr %own, i64 %place
  %old = load i64, ptr %word
  %moved.to = add i64 %old, %shift
  %counted = mul i64 %size, %number
  %is.band = icmp eq i64 %kind, 3
  %is.move = or i1 %is.slab, %is.band
  %is.count = icmp eq i64 %kind, 1
  %other = select i1 %is.count, i64 %counted, i64 %size
  %new = select i1 %is.move, i64 %moved.to, i64 %other
  store i64 %new, ptr %word
  %next = add i64 %k, 1
  br label %head
ready:
  %kernel = load ptr, ptr %row
  %start = call i64 @now(ptr %cell)
  call void %kernel(i64 %low, i64 %high, ptr %own)
  call void @record(ptr %cell, i64 %start)
  ret void
}

; One row for one of the slabs, with the memory of this thread.
define void @slab(ptr %row, i64 %number, i64 %slabs, i64 %thread, ptr %cell) nounwind {
  %units.at = getelementptr i64, ptr %row, i64 2
  %each.at = getelementptr i64, ptr %row, i64 5
  %moves.at = getelementptr i64, ptr %row, i64 6
  %units = load i64, ptr %units.at
  %each = load i64, ptr %each.at
  %moves = load ptr, ptr %moves.at
  %sums.at = getelementptr i64, ptr %moves, i64 2
  %sums = load i64, ptr %sums.at
  %is.sum = icmp ne i64 %sums, 0
  %parts.at = getelementptr i64, ptr %row, i64 8
  %parts = load i64, ptr %parts.at
  %after = add i64 %number, 1
  %scaled = mul i64 %after, %parts
  %scaled1 = sub i64 %scaled, 1
  %part = udiv i64 %scaled1, %slabs
  %place.of = select i1 %is.sum, i64 %part, i64 %number
  %low = mul i64 %place.of, %each
  %top = add i64 %low, %each
  %less = icmp ult i64 %top, %units
  %high = select i1 %less, i64 %top, i64 %units
  %by = sub i64 %thread, %number
  call void @piece(ptr %row, i64 %low, i64 %high, i64 %by, i64 0, i64 %number, ptr %cell)
  ret void
}

; The rows of an inner chain for bands [low, high), counted through all slabs: all rows for one
; band, then for the next.
define void @bands(ptr %row, i64 %low, i64 %high, i64 %thread, i64 %slabs.by, ptr %cell) nounwind {
entry:
  %count.at = getelementptr i64, ptr %row, i64 11
  %per.at = getelementptr i64, ptr %row, i64 12
  %count = load i64, ptr %count.at
  %per = load i64, ptr %per.at
  %timed = icmp ne ptr %cell, null
  br label %head
head:
  %n = phi i64 [%low, %entry], [%n1, %after]
  %some = icmp ult i64 %n, %high
  %by = sub i64 %thread, %n
  br i1 %some, label %each, label %exit
each:
  %r = phi i64 [0, %head], [%r1, %next]
  %words = mul i64 %r, $row_words
  %at = getelementptr i64, ptr %row, i64 %words
  %pair = mul i64 %r, 2
  %one = getelementptr i64, ptr %cell, i64 %pair
  %to = select i1 %timed, ptr %one, ptr null
  %units.at = getelementptr i64, ptr %at, i64 2
  %each.at = getelementptr i64, ptr %at, i64 5
  %units = load i64, ptr %units.at
  %slab = load i64, ptr %each.at
  %band = udiv i64 %slab, %per
  %first = mul i64 %n, %band
  %last = add i64 %first, %band
  %inside = icmp ule i64 %last, %units
  br i1 %inside, label %run, label %next
run:
  call void @piece(ptr %at, i64 %first, i64 %last, i64 %slabs.by, i64 %by, i64 0, ptr %to)
  br label %next
next:
  %r1 = add i64 %r, 1
  %more = icmp ult i64 %r1, %count
  br i1 %more, label %each, label %after
after:
  %n1 = add i64 %n, 1
  br label %head
exit:
  ret void
}

; Takes some of what is left of a share: from its front, or from its back. Gives where that begins
; in the share and how much it is; 0 when all is taken. The word has how much was taken from the
; front in its lower half, and from the back in its upper one.
define {i64, i64} @claim(ptr %word, i64 %size, i64 %grain, i64 %run, i1 %front) nounwind {
entry:
  %first = load atomic i64, ptr %word monotonic, align 8
  br label %look
look:
  %old = phi i64 [%first, %entry], [%seen, %try]
  %begun = and i64 %old, 4294967295
  %ended = lshr i64 %old, 32
  %taken = add i64 %begun, %ended
  %left = sub i64 %size, %taken
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %try, label %none
try:
  %part = lshr i64 %left, 1
  %long = icmp sgt i64 %part, %run
  %wide = select i1 %long, i64 %run, i64 %part
  %short = icmp slt i64 %wide, %grain
  %wanted = select i1 %short, i64 %grain, i64 %wide
  %less = icmp slt i64 %left, %wanted
  %count = select i1 %less, i64 %left, i64 %wanted
  %upper = shl i64 %count, 32
  %more = select i1 %front, i64 %count, i64 %upper
  %new = add i64 %old, %more
  %swap = cmpxchg ptr %word, i64 %old, i64 %new acq_rel monotonic, align 8
  %seen = extractvalue {i64, i1} %swap, 0
  %done = extractvalue {i64, i1} %swap, 1
  br i1 %done, label %got, label %look
got:
  %behind = sub i64 %size, %ended
  %back = sub i64 %behind, %count
  %start = select i1 %front, i64 %begun, i64 %back
  %half = insertvalue {i64, i64} poison, i64 %start, 0
  %both = insertvalue {i64, i64} %half, i64 %count, 1
  ret {i64, i64} %both
none:
  ret {i64, i64} zeroinitializer
}

; Units [low, high) of a row, on any thread.
define void @units(ptr %row, i64 %low, i64 %high, ptr %cell) nounwind {
entry:
  %some = icmp ult i64 %low, %high
  br i1 %some, label %work, label %exit
work:
  %args.at = getelementptr i64, ptr %row, i64 1
  %kernel = load ptr, ptr %row
  %args = load ptr, ptr %args.at
  %start = call i64 @now(ptr %cell)
  call void %kernel(i64 %low, i64 %high, ptr %args)
  call void @record(ptr %cell, i64 %start)
  br label %exit
exit:
  ret void
}

; Of how many slabs there is more than room for; 0 else, and where there are none.
define i64 @more(i64 %units, i64 %each, i64 %room) nounwind alwaysinline {
  %up = add i64 %units, %each
  %up1 = sub i64 %up, 1
  %slabs = udiv i64 %up1, %each
  %many = icmp ugt i64 %slabs, %room
  %found = select i1 %many, i64 %slabs, i64 0
  ret i64 %found
}

; The slabs of a chain that begins with this row; 0 where its rows are walked like others: where
; no chain begins, and where there are few slabs.
define i64 @slabs_of(ptr %row) nounwind {
entry:
  %units.at = getelementptr i64, ptr %row, i64 2
  %chain.at = getelementptr i64, ptr %row, i64 4
  %each.at = getelementptr i64, ptr %row, i64 5
  %room.at = getelementptr i64, ptr %row, i64 7
  %chain = load i64, ptr %chain.at
  %is.chain = icmp ne i64 %chain, 0
  br i1 %is.chain, label %count, label %none
count:
  %units = load i64, ptr %units.at
  %each = load i64, ptr %each.at
  %room = load i64, ptr %room.at
  %slabs = call i64 @more(i64 %units, i64 %each, i64 %room)
  ret i64 %slabs
none:
  ret i64 0
}

; The bands of an inner chain that begins with this row, where the chain around it has few slabs;
; 0 where there is none, or few bands too.
define i64 @bands_of(ptr %row) nounwind {
entry:
  %units.at = getelementptr i64, ptr %row, i64 2
  %each.at = getelementptr i64, ptr %row, i64 5
  %room.at = getelementptr i64, ptr %row, i64 7
  %inner.at = getelementptr i64, ptr %row, i64 11
  %per.at = getelementptr i64, ptr %row, i64 12
  %inner = load i64, ptr %inner.at
  %is.inner = icmp ne i64 %inner, 0
  br i1 %is.inner, label %count, label %none
count:
  %units = load i64, ptr %units.at
  %slab = load i64, ptr %each.at
  %room = load i64, ptr %room.at
  %per = load i64, ptr %per.at
  %each = udiv i64 %slab, %per
  %bands = call i64 @more(i64 %units, i64 %each, i64 %room)
  ret i64 %bands
none:
  ret i64 0
}

; Slabs [low, high) of a chain: all its rows for one slab, then for the next. Rows of an inner
; chain go through the bands of the slab.
define void @chain(ptr %row, i64 %slabs, i64 %low, i64 %high, i64 %thread, ptr %cell) nounwind {
entry:
  %count.at = getelementptr i64, ptr %row, i64 4
  %count = load i64, ptr %count.at
  %timed = icmp ne ptr %cell, null
  br label %head
head:
  %n = phi i64 [%low, %entry], [%n1, %after]
  %some = icmp ult i64 %n, %high
  br i1 %some, label %each, label %exit
each:
  %r = phi i64 [0, %head], [%r1, %next]
  %words = mul i64 %r, $row_words
  %at = getelementptr i64, ptr %row, i64 %words
  %pair = mul i64 %r, 2
  %one = getelementptr i64, ptr %cell, i64 %pair
  %to = select i1 %timed, ptr %one, ptr null
  %inner.at = getelementptr i64, ptr %at, i64 11
  %inner = load i64, ptr %inner.at
  %whole = icmp eq i64 %inner, 0
  br i1 %whole, label %plain, label %banded
plain:
  call void @slab(ptr %at, i64 %n, i64 %slabs, i64 %thread, ptr %to)
  br label %next
banded:
  %per.at = getelementptr i64, ptr %at, i64 12
  %per = load i64, ptr %per.at
  %first = mul i64 %n, %per
  %last = add i64 %first, %per
  %by = sub i64 %thread, %n
  call void @bands(ptr %at, i64 %first, i64 %last, i64 %thread, i64 %by, ptr %to)
  br label %next
next:
  %step = phi i64 [1, %plain], [%inner, %banded]
  %r1 = add i64 %r, %step
  %more = icmp ult i64 %r1, %count
  br i1 %more, label %each, label %after
after:
  %n1 = add i64 %n, 1
  br label %head
exit:
  ret void
}

; What is left of the share of row `i` (or of the chain that begins there) that `owner` has: piece
; by piece, since another thread may take of it too. Shares are units, slabs, or whole parts of
; slabs: [n owner / T, n (owner + 1) / T) of them.
define void @share(ptr %job, i64 %i, i64 %owner, i64 %thread, i64 %threads) nounwind {
entry:
  %rows = load ptr, ptr %job
  %profile.at = getelementptr i64, ptr %job, i64 2
  %claims.at = getelementptr i64, ptr %job, i64 4
  %stride.at = getelementptr i64, ptr %job, i64 5
  %profile = load ptr, ptr %profile.at
  %at = mul i64 %i, $row_words
  %row = getelementptr i64, ptr %rows, i64 %at
  %outer = call i64 @slabs_of(ptr %row)
  %is.outer = icmp ne i64 %outer, 0
  %bands = call i64 @bands_of(ptr %row)
  %slabs = select i1 %is.outer, i64 %outer, i64 %bands
  %by.slabs = icmp ne i64 %slabs, 0
  %units.at = getelementptr i64, ptr %row, i64 2
  %room.at = getelementptr i64, ptr %row, i64 7
  %parts.at = getelementptr i64, ptr %row, i64 8
  %grain.at = getelementptr i64, ptr %row, i64 9
  %run.at = getelementptr i64, ptr %row, i64 10
  %units = load i64, ptr %units.at
  %room = load i64, ptr %room.at
  %parts = load i64, ptr %parts.at
  %grain.units = load i64, ptr %grain.at
  %run.units = load i64, ptr %run.at
  %none = icmp eq i64 %parts, 0
  %by.bands = xor i1 %is.outer, true
  %no.parts = or i1 %none, %by.bands
  %slab.shares = select i1 %no.parts, i64 %slabs, i64 %parts
  %all = select i1 %by.slabs, i64 %slab.shares, i64 %units
  %grain = select i1 %by.slabs, i64 1, i64 %grain.units
  %beside = select i1 %by.slabs, i64 1, i64 %run.units
  %few = icmp ult i64 %room, %threads
  %limited = and i1 %by.slabs, %few
  %team = select i1 %limited, i64 %room, i64 %threads
  %owns = icmp ult i64 %owner, %team
  %can = icmp ult i64 %thread, %team
  %takes.part = and i1 %owns, %can
  br i1 %takes.part, label %sized, label %exit
sized:
  %next = add i64 %owner, 1
  %low.n = mul i64 %all, %owner
  %low = udiv i64 %low.n, %team
  %high.n = mul i64 %all, %next
  %high = udiv i64 %high.n, %team
  %size = sub i64 %high, %low
  %timed = icmp ne ptr %profile, null
  %count.at = getelementptr i64, ptr %job, i64 1
  %count = load i64, ptr %count.at
  %before = mul i64 %thread, %count
  %place = add i64 %before, %i
  %pair = mul i64 %place, 2
  %timed.cell = getelementptr i64, ptr %profile, i64 %pair
  %cell = select i1 %timed, ptr %timed.cell, ptr null
  %front = icmp eq i64 %owner, %thread
  %alone = icmp eq i64 %threads, 1
  %claims = load ptr, ptr %claims.at
  %stride = load i64, ptr %stride.at
  %mine = mul i64 %owner, %stride
  %word.at = add i64 %mine, %i
  %word = getelementptr i64, ptr %claims, i64 %word.at
  br i1 %alone, label %run, label %take
take:
  %claimed = call {i64, i64} @claim(ptr %word, i64 %size, i64 %grain, i64 %beside, i1 %front)
  %some = extractvalue {i64, i64} %claimed, 1
  %over = icmp eq i64 %some, 0
  br i1 %over, label %exit, label %piece
piece:
  %start = extractvalue {i64, i64} %claimed, 0
  br label %run
run:
  %from = phi i64 [0, %sized], [%start, %piece]
  %how.many = phi i64 [%size, %sized], [%some, %piece]
  %first = add i64 %low, %from
  %last = add i64 %first, %how.many
  br i1 %by.slabs, label %slabwise, label %plain
slabwise:
  %first.n = mul i64 %first, %slabs
  %first.slab = udiv i64 %first.n, %all
  %last.n = mul i64 %last, %slabs
  %last.slab = udiv i64 %last.n, %all
  br i1 %is.outer, label %chained, label %banded
chained:
  call void @chain(ptr %row, i64 %slabs, i64 %first.slab, i64 %last.slab, i64 %thread, ptr %cell)
  br label %ran
banded:
  call void @bands(ptr %row, i64 %first.slab, i64 %last.slab, i64 %thread, i64 0, ptr %cell)
  br label %ran
plain:
  call void @units(ptr %row, i64 %first, i64 %last, ptr %cell)
  br label %ran
ran:
  br i1 %alone, label %exit, label %take
exit:
  ret void
}

; What the other threads have not begun of rows [first, last), then waits for all.
define void @meet(ptr %job, i64 %first, i64 %last, i64 %thread, i64 %threads) nounwind {
entry:
  %rows = load ptr, ptr %job
  br label %head
head:
  %i = phi i64 [%first, %entry], [%j, %all]
  %some = icmp ult i64 %i, %last
  br i1 %some, label %help, label %wait
help:
  %k = phi i64 [%thread, %head], [%owner, %helped]
  %k1 = add i64 %k, 1
  %around = icmp eq i64 %k1, %threads
  %owner = select i1 %around, i64 0, i64 %k1
  %self = icmp eq i64 %owner, %thread
  br i1 %self, label %all, label %helped
helped:
  call void @share(ptr %job, i64 %i, i64 %owner, i64 %thread, i64 %threads)
  br label %help
all:
  %at = mul i64 %i, $row_words
  %row = getelementptr i64, ptr %rows, i64 %at
  %step = call i64 @step(ptr %row)
  %j = add i64 %i, %step
  br label %head
wait:
  %profile.at = getelementptr i64, ptr %job, i64 2
  %count.at = getelementptr i64, ptr %job, i64 1
  %profile = load ptr, ptr %profile.at
  %count = load i64, ptr %count.at
  %timed = icmp ne ptr %profile, null
  %before = mul i64 %thread, %count
  %behind = add i64 %before, %last
  %pairs = mul i64 %behind, 2
  %place = sub i64 %pairs, 1
  %timed.cell = getelementptr i64, ptr %profile, i64 %place
  %cell = select i1 %timed, ptr %timed.cell, ptr null
  %start = call i64 @now(ptr %cell)
  call void @barrier(ptr %job, i64 %threads)
  call void @record(ptr %cell, i64 %start)
  ret void
}

; How many rows are walked with this one: those of its chain, or it alone.
define i64 @step(ptr %row) nounwind {
  %chain.at = getelementptr i64, ptr %row, i64 4
  %chain = load i64, ptr %chain.at
  %slabs = call i64 @slabs_of(ptr %row)
  %bands = call i64 @bands_of(ptr %row)
  %inner.at = getelementptr i64, ptr %row, i64 11
  %inner = load i64, ptr %inner.at
  %no.slabs = icmp eq i64 %slabs, 0
  %no.bands = icmp eq i64 %bands, 0
  %less = select i1 %no.bands, i64 1, i64 %inner
  %step = select i1 %no.slabs, i64 %less, i64 %chain
  ret i64 %step
}

; One thread's part in all rows: its own share of each, and at a barrier what others have left.
define void @walk(ptr %job, i64 %thread, i64 %threads) nounwind {
entry:
  %rows = load ptr, ptr %job
  %count.at = getelementptr i64, ptr %job, i64 1
  %count = load i64, ptr %count.at
  %alone = icmp eq i64 %threads, 1
  br label %head
head:
  %i = phi i64 [0, %entry], [%j, %on], [%j, %met]
  %first = phi i64 [0, %entry], [%first, %on], [%j, %met]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %exit, label %row
row:
  %at = mul i64 %i, $row_words
  %row.at = getelementptr i64, ptr %rows, i64 %at
  call void @share(ptr %job, i64 %i, i64 %thread, i64 %thread, i64 %threads)
  %step = call i64 @step(ptr %row.at)
  %j = add i64 %i, %step
  %together = icmp ugt i64 %step, 1
  %barrier.at = getelementptr i64, ptr %row.at, i64 3
  %barrier = load i64, ptr %barrier.at
  %closed = icmp ne i64 %barrier, 0
  %stop = or i1 %closed, %together
  br i1 %stop, label %end.of, label %on
end.of:
  br i1 %alone, label %on, label %met
met:
  call void @meet(ptr %job, i64 %first, i64 %j, i64 %thread, i64 %threads)
  br label %head
on:
  br label %head
exit:
  ret void
}

; A kernel: copies rows of an array, those that an index names. Its arguments are the array, the
; index, the target and the bytes of a row.
define void @take(i64 %low, i64 %high, ptr %args) nounwind {
entry:
  %index.at = getelementptr i64, ptr %args, i64 1
  %target.at = getelementptr i64, ptr %args, i64 2
  %bytes.at = getelementptr i64, ptr %args, i64 3
  %source = load ptr, ptr %args
  %index = load ptr, ptr %index.at
  %target = load ptr, ptr %target.at
  %bytes = load i64, ptr %bytes.at
  br label %head
head:
  %i = phi i64 [%low, %entry], [%next, %row]
  %some = icmp slt i64 %i, %high
  br i1 %some, label %row, label %exit
row:
  %number.at = getelementptr i64, ptr %index, i64 %i
  %number = load i64, ptr %number.at
  %from.n = mul i64 %number, %bytes
  %from = getelementptr i8, ptr %source, i64 %from.n
  %to.n = mul i64 %i, %bytes
  %to = getelementptr i8, ptr %target, i64 %to.n
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %bytes, i1 false)
  %next = add i64 %i, 1
  br label %head
exit:
  ret void
}

; The element at a place as an unsigned number, of 1, 4 or 8 bytes.
define i64 @element(ptr %array, i64 %place, i64 %bytes) nounwind alwaysinline {
entry:
  switch i64 %bytes, label %eight [ i64 1, label %one i64 4, label %four ]
one:
  %one.at = getelementptr i8, ptr %array, i64 %place
  %one.value = load i8, ptr %one.at
  %one.wide = zext i8 %one.value to i64
  ret i64 %one.wide
four:
  %four.at = getelementptr i32, ptr %array, i64 %place
  %four.value = load i32, ptr %four.at
  %four.wide = zext i32 %four.value to i64
  ret i64 %four.wide
eight:
  %eight.at = getelementptr i64, ptr %array, i64 %place
  %eight.value = load i64, ptr %eight.at
  ret i64 %eight.value
}

; The first place of an array whose element, as an unsigned number, is not below the limit; else
; the number of elements.
define i64 @outside(ptr %array, i64 %count, i64 %bytes, i64 %limit) nounwind {
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%next, %inside]
  %some = icmp ult i64 %i, %count
  br i1 %some, label %look, label %exit
look:
  %value = call i64 @element(ptr %array, i64 %i, i64 %bytes)
  %below = icmp ult i64 %value, %limit
  br i1 %below, label %inside, label %exit
inside:
  %next = add i64 %i, 1
  br label %head
exit:
  ret i64 %i
}

; All of a job on the calling thread.
define void @alone(ptr %job) nounwind {
  call void @walk(ptr %job, i64 0, i64 1)
  ret void
}

; A thread of the pool: waits for jobs after `first`, walks its share, until told to end.
define void @serve(ptr %pool, i64 %thread, i64 %first) nounwind {
entry:
  %sleepers = getelementptr i8, ptr %pool, i64 64
  %finished = getelementptr i8, ptr %pool, i64 128
  %owner = getelementptr i8, ptr %pool, i64 192
  %job.at = getelementptr i8, ptr %pool, i64 256
  %threads.at = getelementptr i8, ptr %pool, i64 264
  %spin.at = getelementptr i8, ptr %pool, i64 272
  %quit.at = getelementptr i8, ptr %pool, i64 280
  %threads = load i64, ptr %threads.at
  %spin = load i64, ptr %spin.at
  %first.word = trunc i64 %first to i32
  %others = sub i64 %threads, 1
  %all = trunc i64 %others to i32
  br label %idle
idle:
  %last = phi i32 [%first.word, %entry], [%now, %job], [%now, %tell]
  call void @await(ptr %pool, i32 %last, ptr %sleepers, i64 %spin)
  %now = load atomic i32, ptr %pool acquire, align 4
  %quit = load atomic i64, ptr %quit.at acquire, align 8
  %ends = icmp ne i64 %quit, 0
  br i1 %ends, label %exit, label %job
job:
  %work = load ptr, ptr %job.at
  call void @walk(ptr %work, i64 %thread, i64 %threads)
  %before = atomicrmw add ptr %finished, i32 1 seq_cst
  %count = add i32 %before, 1
  %complete = icmp eq i32 %count, %all
  br i1 %complete, label %tell, label %idle
tell:
  call void @wake(ptr %finished, ptr %owner)
  br label %idle
exit:
  ret void
}

; Nothing of the job is taken.
define void @forget(ptr %job, i64 %threads) nounwind {
  %claims.at = getelementptr i64, ptr %job, i64 4
  %stride.at = getelementptr i64, ptr %job, i64 5
  %claims = load ptr, ptr %claims.at
  %stride = load i64, ptr %stride.at
  %words = mul i64 %stride, %threads
  %bytes = mul i64 %words, 8
  call void @llvm.memset.p0.i64(ptr %claims, i8 0, i64 %bytes, i1 false)
  ret void
}

; Runs a job on all threads of the pool; the caller is thread 0.
define void @launch(ptr %pool, ptr %job) nounwind {
entry:
  %sleepers = getelementptr i8, ptr %pool, i64 64
  %finished = getelementptr i8, ptr %pool, i64 128
  %owner = getelementptr i8, ptr %pool, i64 192
  %job.at = getelementptr i8, ptr %pool, i64 256
  %threads.at = getelementptr i8, ptr %pool, i64 264
  %spin.at = getelementptr i8, ptr %pool, i64 272
  %threads = load i64, ptr %threads.at
  %spin = load i64, ptr %spin.at
  %others = sub i64 %threads, 1
  %all = trunc i64 %others to i32
  call void @forget(ptr %job, i64 %threads)
  store ptr %job, ptr %job.at
  store atomic i32 0, ptr %finished release, align 4
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  call void @wake(ptr %pool, ptr %sleepers)
  call void @walk(ptr %job, i64 0, i64 %threads)
  br label %look
look:
  %n = load atomic i32, ptr %finished acquire, align 4
  %complete = icmp eq i32 %n, %all
  br i1 %complete, label %exit, label %wait
wait:
  call void @await(ptr %finished, i32 %n, ptr %owner, i64 %spin)
  br label %look
exit:
  ret void
}

; Ends the threads of the pool; none of them has a job.
define void @stop(ptr %pool) nounwind {
  %sleepers = getelementptr i8, ptr %pool, i64 64
  %quit.at = getelementptr i8, ptr %pool, i64 280
  store atomic i64 1, ptr %quit.at release, align 8
  %g = atomicrmw add ptr %pool, i32 1 seq_cst
  call void @wake(ptr %pool, ptr %sleepers)
  ret void
}

; Nanoseconds that so many turns of spinning take.
define i64 @spun(i64 %turns) nounwind {
entry:
  %start = call i64 @nanoseconds()
  br label %head
head:
  %k = phi i64 [0, %entry], [%k1, %head]
  $pause
  %k1 = add i64 %k, 1
  %more = icmp ult i64 %k1, %turns
  br i1 %more, label %head, label %exit
exit:
  %end = call i64 @nanoseconds()
  %time = sub i64 %end, %start
  ret i64 %time
}
