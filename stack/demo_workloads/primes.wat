;; Counts the primes up to its last argument by trial division: work for a processor.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  ;; 0: argument count, 4: bytes, 8: iovec, 16: bytes written, 64..95: digits,
  ;; 1024: argument pointers, 8192: argument text
  (memory (export "memory") 1)

  (func $last_argument (result i32)
    (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
    (if (i32.lt_u (i32.load (i32.const 0)) (i32.const 2))
      (then (call $proc_exit (i32.const 2))))
    (drop (call $args_get (i32.const 1024) (i32.const 8192)))
    (i32.load
      (i32.add
        (i32.const 1024)
        (i32.shl (i32.sub (i32.load (i32.const 0)) (i32.const 1)) (i32.const 2)))))

  (func $parse (param $at i32) (result i32)
    (local $value i32) (local $byte i32)
    (block $end
      (loop $next
        (local.set $byte (i32.load8_u (local.get $at)))
        (br_if $end (i32.lt_u (local.get $byte) (i32.const 48)))
        (br_if $end (i32.gt_u (local.get $byte) (i32.const 57)))
        (local.set $value
          (i32.add
            (i32.mul (local.get $value) (i32.const 10))
            (i32.sub (local.get $byte) (i32.const 48))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (local.get $value))

  (func $is_prime (param $n i32) (result i32)
    (local $d i32)
    (if (i32.lt_u (local.get $n) (i32.const 4))
      (then (return (i32.gt_u (local.get $n) (i32.const 1)))))
    (if (i32.eqz (i32.and (local.get $n) (i32.const 1)))
      (then (return (i32.const 0))))
    (local.set $d (i32.const 3))
    (block $prime
      (loop $next
        (br_if $prime (i32.gt_u (i32.mul (local.get $d) (local.get $d)) (local.get $n)))
        (if (i32.eqz (i32.rem_u (local.get $n) (local.get $d)))
          (then (return (i32.const 0))))
        (local.set $d (i32.add (local.get $d) (i32.const 2)))
        (br $next)))
    (i32.const 1))

  (func $count (param $limit i32) (result i32)
    (local $n i32) (local $found i32)
    (local.set $n (i32.const 2))
    (block $end
      (loop $next
        (br_if $end (i32.gt_u (local.get $n) (local.get $limit)))
        (local.set $found (i32.add (local.get $found) (call $is_prime (local.get $n))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $found))

  ;; Writes the number and a newline; digits are laid down from the right end at 95.
  (func $print (param $value i32)
    (local $at i32)
    (local.set $at (i32.const 95))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $next
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.rem_u (local.get $value) (i32.const 10)) (i32.const 48)))
      (local.set $value (i32.div_u (local.get $value) (i32.const 10)))
      (br_if $next (local.get $value)))
    (i32.store (i32.const 8) (local.get $at))
    (i32.store (i32.const 12) (i32.sub (i32.const 96) (local.get $at)))
    (drop (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16))))

  (func (export "_start")
    (call $print (call $count (call $parse (call $last_argument))))))
