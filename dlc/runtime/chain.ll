; Chains: rows that go through the batch slab by slab, and inside of a slab band by band.

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
