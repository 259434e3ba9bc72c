; Threads that wait for jobs and for each other.

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

; Takes a word of a table that nobody has: 1, else 0.
define i64 @seize(ptr %table, i64 %place) nounwind {
  %word = getelementptr i64, ptr %table, i64 %place
  %swap = cmpxchg ptr %word, i64 0, i64 1 acquire monotonic, align 8
  %done = extractvalue {i64, i1} %swap, 1
  %got = zext i1 %done to i64
  ret i64 %got
}

; Gives it back.
define void @leave(ptr %table, i64 %place) nounwind {
  %word = getelementptr i64, ptr %table, i64 %place
  store atomic i64 0, ptr %word release, align 8
  ret void
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

; Runs a job on all threads of the pool; the caller is thread 0. Alone, if the pool is taken.
define void @launch(ptr %pool, ptr %job) nounwind {
entry:
  %got = call i64 @seize(ptr %pool, i64 $pool_taken)
  %free = icmp ne i64 %got, 0
  br i1 %free, label %begin, label %taken
taken:
  call void @alone(ptr %job)
  ret void
begin:
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
  call void @leave(ptr %pool, i64 $pool_taken)
  ret void
}

; Ends the threads of the pool; whoever calls this has seized it.
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
