use mysql_async::prelude::*;
#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let t = std::time::Instant::now();
    let mut tasks = vec![];
    for i in 0..4u64 {
        let port: u16 = args[1].parse().unwrap();
        tasks.push(tokio::spawn(async move {
            let opts = mysql_async::OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).user(Some("root")).pass(Some("")).prefer_socket(false);
            let mut c = mysql_async::Conn::new(opts).await.unwrap();
            let mut n = 0u64;
            for (t, total) in [("sb", 2_000_000u64), ("wide", 1_000_000)] {
                let q = format!("SELECT * FROM twbench.{t} WHERE id > {} AND id <= {}", i * total / 4, if i == 3 { u64::MAX / 2 } else { (i + 1) * total / 4 });
                let mut r = c.exec_iter(q, ()).await.unwrap();
                while let Some(row) = r.next().await.unwrap() { n += row.len() as u64; }
            }
            n
        }));
    }
    for t in tasks { t.await.unwrap(); }
    println!("drain {:?}", t.elapsed());
}
