; Walks a plan: claims of work and calls of kernels. `walker.py` fills in what depends on the machine
; and says how the tables of words look; it puts `chain.ll`, `pool.ll` and `call.ll` behind this.

declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i32 @clock_gettime(i32, ptr)
$declarations

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
