; A call from Python: arrays in, arrays out, without a line of Python between. `quick.py` lays out
; the tables that this reads, and says what their words are.

; A word of a table, as a number and as an address.
define i64 @word(ptr %table, i64 %place) nounwind alwaysinline {
  %at = getelementptr i64, ptr %table, i64 %place
  %value = load i64, ptr %at
  ret i64 %value
}

define ptr @link(ptr %table, i64 %place) nounwind alwaysinline {
  %at = getelementptr i64, ptr %table, i64 %place
  %value = load ptr, ptr %at
  ret ptr %value
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

; Whether an object is an array as an input has to be: its type, order, dtype and sizes.
define i1 @is.like(ptr %object, ptr %input, ptr %host) nounwind {
entry:
  %type.at = getelementptr i8, ptr %object, i64 $type
  %type = load ptr, ptr %type.at
  %wanted.type = call ptr @link(ptr %host, i64 0)
  %is.array = icmp eq ptr %type, %wanted.type
  br i1 %is.array, label %array, label %no
array:
  %fields = getelementptr i8, ptr %object, i64 $fields
  %rank.at = getelementptr i8, ptr %fields, i64 8
  %dtype.at = getelementptr i8, ptr %fields, i64 40
  %flags.at = getelementptr i8, ptr %fields, i64 48
  %rank32 = load i32, ptr %rank.at
  %rank = sext i32 %rank32 to i64
  %sizes = call ptr @link(ptr %fields, i64 2)
  %dtype = load ptr, ptr %dtype.at
  %flags = load i32, ptr %flags.at
  %order = and i32 %flags, 257
  %in.order = icmp eq i32 %order, 257
  %wanted.dtype = call ptr @link(ptr %input, i64 0)
  %wanted.rank = call i64 @word(ptr %input, i64 1)
  %wanted.sizes = call ptr @link(ptr %input, i64 2)
  %same.dtype = icmp eq ptr %dtype, %wanted.dtype
  %same.rank = icmp eq i64 %rank, %wanted.rank
  %both = and i1 %same.dtype, %same.rank
  %all = and i1 %both, %in.order
  br i1 %all, label %head, label %no
head:
  %k = phi i64 [0, %array], [%k1, %size]
  %count = phi i64 [1, %array], [%count1, %size]
  %some = icmp slt i64 %k, %rank
  br i1 %some, label %size, label %sized
size:
  %n = call i64 @word(ptr %sizes, i64 %k)
  %wanted = call i64 @word(ptr %wanted.sizes, i64 %k)
  %k1 = add i64 %k, 1
  %count1 = mul i64 %count, %n
  %same = icmp eq i64 %n, %wanted
  br i1 %same, label %head, label %no
sized:
  %limit = call i64 @word(ptr %input, i64 6)
  %limited = icmp ne i64 %limit, 0
  br i1 %limited, label %look, label %yes
look:
  %data = load ptr, ptr %fields
  %bytes = call i64 @word(ptr %input, i64 5)
  %place = call i64 @outside(ptr %data, i64 %count, i64 %bytes, i64 %limit)
  %inside = icmp eq i64 %place, %count
  ret i1 %inside
yes:
  ret i1 true
no:
  ret i1 false
}

; Whether the arguments of a call are those that a record is for.
define i1 @fits(ptr %record, ptr %args, i64 %given, ptr %host) nounwind {
entry:
  %binding = call i64 @word(ptr %record, i64 17)
  %present.at = call ptr @link(ptr %record, i64 19)
  %present = load i64, ptr %present.at
  %count = call i64 @word(ptr %record, i64 13)
  %inputs = call ptr @link(ptr %record, i64 14)
  %same.binding = icmp eq i64 %binding, %present
  %same.count = icmp eq i64 %count, %given
  %fine = and i1 %same.binding, %same.count
  br i1 %fine, label %head, label %no
head:
  %k = phi i64 [0, %entry], [%k1, %one]
  %some = icmp ult i64 %k, %count
  br i1 %some, label %one, label %yes
one:
  %object = call ptr @link(ptr %args, i64 %k)
  %at = mul i64 %k, $input_words
  %input = getelementptr i64, ptr %inputs, i64 %at
  %like = call i1 @is.like(ptr %object, ptr %input, ptr %host)
  %k1 = add i64 %k, 1
  br i1 %like, label %head, label %no
yes:
  ret i1 true
no:
  ret i1 false
}

; How many runs before one that starts now followed each other without a pause; 2^40 where runs are
; not timed.
define i64 @streak(ptr %choice, i64 %start) nounwind {
  %timed = call i64 @word(ptr %choice, i64 1)
  %ended = call i64 @word(ptr %choice, i64 2)
  %old = call i64 @word(ptr %choice, i64 3)
  %pause = call i64 @word(ptr %choice, i64 40)
  %gap = sub i64 %start, %ended
  %rested = icmp sge i64 %gap, %pause
  %more = add i64 %old, 1
  %streak = select i1 %rested, i64 0, i64 %more
  %untimed = icmp eq i64 %timed, 0
  %found = select i1 %untimed, i64 1099511627776, i64 %streak
  ret i64 %found
}

; The trial of a choice that a run with such a streak is part of.
define ptr @trial(ptr %choice, i64 %streak) nounwind {
  %before = call i64 @word(ptr %choice, i64 41)
  %rapid = icmp sgt i64 %streak, %before
  %place = select i1 %rapid, i64 22, i64 4
  %trial = getelementptr i64, ptr %choice, i64 %place
  ret ptr %trial
}

; How a record's job is to run: null while that is not known, the job itself for one thread, else
; the pool.
define ptr @way(ptr %record, ptr %host, i64 %streak) nounwind {
entry:
  %choice = call ptr @link(ptr %record, i64 11)
  %trial = call ptr @trial(ptr %choice, i64 %streak)
  %how = call i64 @word(ptr %trial, i64 0)
  %left = call i64 @word(ptr %trial, i64 1)
  %threads = call i64 @word(ptr %choice, i64 0)
  %state = call ptr @link(ptr %host, i64 9)
  %own = call i64 @word(ptr %record, i64 12)
  %common = call i64 @word(ptr %state, i64 1)
  %free = icmp eq i64 %own, 0
  %asked = select i1 %free, i64 %common, i64 %own
  %same = icmp eq i64 %asked, %threads
  %lasts = icmp sgt i64 %left, 0
  %fine = and i1 %same, %lasts
  br i1 %fine, label %known, label %none
known:
  %job = call ptr @link(ptr %record, i64 1)
  switch i64 %how, label %none [ i64 1, label %alone i64 2, label %pooled ]
alone:
  ret ptr %job
pooled:
  %pool = call ptr @link(ptr %state, i64 0)
  %is.none = icmp eq ptr %pool, null
  br i1 %is.none, label %none, label %look
look:
  %pool.threads.at = getelementptr i8, ptr %pool, i64 264
  %pool.threads = load i64, ptr %pool.threads.at
  %ready = call i64 @word(ptr %job, i64 $job_threads)
  %has = icmp eq i64 %pool.threads, %threads
  %is.ready = icmp eq i64 %ready, %threads
  %can = and i1 %has, %is.ready
  br i1 %can, label %yes, label %none
yes:
  ret ptr %pool
none:
  ret ptr null
}

; The time, where a choice wants to know it.
define i64 @clock(ptr %choice) nounwind {
entry:
  %timed = call i64 @word(ptr %choice, i64 1)
  %is.timed = icmp ne i64 %timed, 0
  br i1 %is.timed, label %yes, label %no
yes:
  %now = call i64 @nanoseconds()
  ret i64 %now
no:
  ret i64 0
}

; Tells a choice of a run.
define void @told(ptr %choice, i64 %start, i64 %streak) nounwind {
entry:
  %timed = call i64 @word(ptr %choice, i64 1)
  %is.timed = icmp ne i64 %timed, 0
  br i1 %is.timed, label %clock, label %exit
clock:
  %end = call i64 @nanoseconds()
  %ended.at = getelementptr i64, ptr %choice, i64 2
  %streak.at = getelementptr i64, ptr %choice, i64 3
  store i64 %end, ptr %ended.at
  store i64 %streak, ptr %streak.at
  %before = call i64 @word(ptr %choice, i64 41)
  %is.first = icmp eq i64 %streak, 0
  %is.rapid = icmp sgt i64 %streak, %before
  %counts = or i1 %is.first, %is.rapid
  br i1 %counts, label %count, label %exit
count:
  %trial = call ptr @trial(ptr %choice, i64 %streak)
  %left.at = getelementptr i64, ptr %trial, i64 1
  %left = load i64, ptr %left.at
  %left1 = sub i64 %left, 1
  store i64 %left1, ptr %left.at
  %slot = and i64 %left, 15
  %place = add i64 %slot, 2
  %time.at = getelementptr i64, ptr %trial, i64 %place
  %time = sub i64 %end, %start
  store i64 %time, ptr %time.at
  br label %exit
exit:
  ret void
}

; Writes an address to places of a table of arguments.
define void @write(ptr %arguments, ptr %places, i64 %count, ptr %address) nounwind {
entry:
  br label %head
head:
  %k = phi i64 [0, %entry], [%k1, %one]
  %some = icmp ult i64 %k, %count
  br i1 %some, label %one, label %exit
one:
  %place = call i64 @word(ptr %places, i64 %k)
  %at = getelementptr i64, ptr %arguments, i64 %place
  store ptr %address, ptr %at
  %k1 = add i64 %k, 1
  br label %head
exit:
  ret void
}

; Makes the job of a record what the call is to run, but for its results.
define void @set(ptr %record, ptr %args) nounwind {
entry:
  %job = call ptr @link(ptr %record, i64 1)
  %arguments = call ptr @link(ptr %record, i64 2)
  %number = call i64 @word(ptr %record, i64 3)
  %settled.at = getelementptr i64, ptr %job, i64 $job_settled
  %settled = load i64, ptr %settled.at
  %is.settled = icmp eq i64 %settled, %number
  br i1 %is.settled, label %rows, label %settle
settle:
  %pairs.count = call i64 @word(ptr %record, i64 4)
  %pairs = call ptr @link(ptr %record, i64 5)
  br label %pair.head
pair.head:
  %p = phi i64 [0, %settle], [%p1, %pair]
  %more.pairs = icmp ult i64 %p, %pairs.count
  br i1 %more.pairs, label %pair, label %paired
pair:
  %twice = mul i64 %p, 2
  %places = getelementptr i64, ptr %pairs, i64 %twice
  %address = call ptr @link(ptr %places, i64 1)
  call void @write(ptr %arguments, ptr %places, i64 1, ptr %address)
  %p1 = add i64 %p, 1
  br label %pair.head
paired:
  store i64 %number, ptr %settled.at
  br label %rows
rows:
  %version.at = call ptr @link(ptr %record, i64 6)
  %version = load i64, ptr %version.at
  %prepared.at = getelementptr i64, ptr %job, i64 $job_version
  %prepared = load i64, ptr %prepared.at
  %known = icmp ne i64 %version, 0
  %same = icmp eq i64 %version, %prepared
  %stays = and i1 %known, %same
  %keeps = and i1 %stays, %is.settled
  store i64 %version, ptr %prepared.at
  %which = select i1 %keeps, i64 9, i64 7
  %which1 = add i64 %which, 1
  %first = call i64 @word(ptr %record, i64 %which)
  %rows.count = call i64 @word(ptr %record, i64 %which1)
  %count.at = getelementptr i64, ptr %job, i64 1
  store i64 %first, ptr %job
  store i64 %rows.count, ptr %count.at
  %count = call i64 @word(ptr %record, i64 13)
  %inputs = call ptr @link(ptr %record, i64 14)
  br label %head
head:
  %k = phi i64 [0, %rows], [%k1, %one]
  %some = icmp ult i64 %k, %count
  br i1 %some, label %one, label %exit
one:
  %object = call ptr @link(ptr %args, i64 %k)
  %fields = getelementptr i8, ptr %object, i64 $fields
  %data = load ptr, ptr %fields
  %at = mul i64 %k, $input_words
  %input = getelementptr i64, ptr %inputs, i64 %at
  %slots = call i64 @word(ptr %input, i64 3)
  %slots.at = call ptr @link(ptr %input, i64 4)
  call void @write(ptr %arguments, ptr %slots.at, i64 %slots, ptr %data)
  %k1 = add i64 %k, 1
  br label %head
exit:
  ret void
}

; A list of new arrays for the results of a job; null with Python's error where there is no memory.
define ptr @results(ptr %record, ptr %host) nounwind {
entry:
  %call = call ptr @link(ptr %host, i64 3)
  %list.new = call ptr @link(ptr %host, i64 4)
  %list.set = call ptr @link(ptr %host, i64 5)
  %arguments = call ptr @link(ptr %record, i64 2)
  %count = call i64 @word(ptr %record, i64 15)
  %results = call ptr @link(ptr %record, i64 16)
  %list = call ptr %list.new(i64 %count)
  %no.list = icmp eq ptr %list, null
  br i1 %no.list, label %failed, label %head
head:
  %k = phi i64 [0, %entry], [%k1, %made]
  %some = icmp ult i64 %k, %count
  br i1 %some, label %one, label %exit
one:
  %at = mul i64 %k, $result_words
  %result = getelementptr i64, ptr %results, i64 %at
  %asked = call ptr @link(ptr %result, i64 0)
  %maker = call ptr @link(ptr %result, i64 3)
  %array = call ptr %call(ptr %maker, ptr %asked)
  %no.array = icmp eq ptr %array, null
  br i1 %no.array, label %dropped, label %made
made:
  %set = call i32 %list.set(ptr %list, i64 %k, ptr %array)
  %fields = getelementptr i8, ptr %array, i64 $fields
  %data = load ptr, ptr %fields
  %slots = call i64 @word(ptr %result, i64 1)
  %slots.at = call ptr @link(ptr %result, i64 2)
  call void @write(ptr %arguments, ptr %slots.at, i64 %slots, ptr %data)
  %k1 = add i64 %k, 1
  br label %head
exit:
  ret ptr %list
dropped:
  %drop = call ptr @link(ptr %host, i64 7)
  call void %drop(ptr %list)
  br label %failed
failed:
  ret ptr null
}

; Runs the job of a record, without the interpreter's lock.
define void @run(ptr %record, ptr %way, ptr %host) nounwind {
entry:
  %save = call ptr @link(ptr %host, i64 1)
  %restore = call ptr @link(ptr %host, i64 2)
  %job = call ptr @link(ptr %record, i64 1)
  %state = call ptr %save()
  %is.alone = icmp eq ptr %way, %job
  br i1 %is.alone, label %alone, label %pooled
alone:
  call void @alone(ptr %job)
  br label %ran
pooled:
  call void @launch(ptr %way, ptr %job)
  br label %ran
ran:
  call void %restore(ptr %state)
  ret void
}

; A function of Python: its arguments are arrays, its value a list of new arrays, or None where
; the whole way has to look at the arguments.
define ptr @call(ptr %self, ptr %args, i64 %given) nounwind {
entry:
  %head.at = getelementptr i8, ptr %self, i64 $fields
  %table = load ptr, ptr %head.at
  %host = call ptr @link(ptr %table, i64 1)
  %keep = call ptr @link(ptr %host, i64 6)
  %drop = call ptr @link(ptr %host, i64 7)
  %first = load ptr, ptr %table
  br label %look
look:
  %record = phi ptr [%first, %entry], [%next, %other]
  %none = icmp eq ptr %record, null
  br i1 %none, label %unknown, label %compare
compare:
  %fits = call i1 @fits(ptr %record, ptr %args, i64 %given, ptr %host)
  br i1 %fits, label %fitting, label %other
fitting:
  %choice = call ptr @link(ptr %record, i64 11)
  %start = call i64 @clock(ptr %choice)
  %streak = call i64 @streak(ptr %choice, i64 %start)
  %way = call ptr @way(ptr %record, ptr %host, i64 %streak)
  %undecided = icmp eq ptr %way, null
  br i1 %undecided, label %unknown, label %take
take:
  %job = call ptr @link(ptr %record, i64 1)
  %got = call i64 @seize(ptr %job, i64 $job_taken)
  %taken = icmp eq i64 %got, 0
  br i1 %taken, label %other, label %work
other:
  %next = load ptr, ptr %record
  br label %look
work:
  %owner = call ptr @link(ptr %record, i64 18)
  call void %keep(ptr %owner)
  %results = call ptr @results(ptr %record, ptr %host)
  %failed = icmp eq ptr %results, null
  br i1 %failed, label %over, label %go
go:
  call void @set(ptr %record, ptr %args)
  call void @run(ptr %record, ptr %way, ptr %host)
  call void @told(ptr %choice, i64 %start, i64 %streak)
  br label %over
over:
  call void @leave(ptr %job, i64 $job_taken)
  call void %drop(ptr %owner)
  ret ptr %results
unknown:
  %nothing = call ptr @link(ptr %host, i64 8)
  call void %keep(ptr %nothing)
  ret ptr %nothing
}
